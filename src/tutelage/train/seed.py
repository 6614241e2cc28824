"""Random numbers as a function of names and positions, never of how many were drawn before."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(*parts: int | str) -> int:
    """A seed in 0 .. 2^63 - 1 that depends on every part and on nothing else.

    >>> derive(0, "order", 1) == derive(0, "order", 1), derive(0, "order", 1) == derive(0, "order", 2)
    (True, False)
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def set_seed(seed: int, device: torch.device) -> None:
    """Seed the global generators of the CPU and of a device: the numbers of `torch.manual_seed`.

    That one seeds every kind of device: for each that has not been used it reads a traceback, in every step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


@contextmanager
def seeded(*parts: int | str) -> Iterator[None]:
    """Run a block under the global generator seeded with `derive(*parts)`, and leave the generator as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(derive(*parts))
        yield
