"""What a network's output depends on besides its images: weights, architecture, code and where it is computed."""

import inspect
import re
from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tutelage.types import MultiTaskNet

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # of an object, which differs between processes
_LIBRARIES = ("torch.", "torchvision.")  # whose version stands for their code
_OF_MODULES = frozenset(vars(nn.Module())) - {"training"}  # what every module has: its weights, parts and hooks
_PLAIN = (bool, int, float, str, tuple, list, dict, set, frozenset, Tensor, type(None))


class Uncacheable(Exception):  # noqa: N818  # it is a reason, which the caller tells the user, and no error
    """Why what a network computes cannot be cached, in a few words for the user."""


def network_facts(network: MultiTaskNet) -> dict[str, Any]:
    """Plain values: equal ones mean that two networks compute the same for the same images, bit for bit.

    Raises:
        Uncacheable: its code cannot be read, so that nobody would know of a change.
    """
    weights = blake2b(digest_size=16)
    for name, tensor in sorted([*network.named_parameters(), *network.named_buffers()]):  # some are in no state
        weights.update(f"{name}:{_digest_of_values(tensor)}".encode())
    classes = sorted({type(module) for module in network.modules()}, key=lambda c: (c.__module__, c.__qualname__))
    return {
        "weights": weights.hexdigest(),
        "architecture": blake2b(_architecture(network).encode(), digest_size=16).hexdigest(),
        "code": code_of(c for c in classes if not c.__module__.startswith(_LIBRARIES)),
        "training": sorted({module.training for module in network.modules()}),
        "versions": {name: version(name) for name in ("tutelage", "torch")},
        "device": _device(next((p.device for p in network.parameters()), torch.device("cpu"))),
    }


def code_of(classes: Iterable[type[Any]]) -> dict[str, str]:
    """A digest of the code of each class, by its path.

    Raises:
        Uncacheable: the code of one cannot be read.
    """
    return {f"{c.__module__}.{c.__qualname__}": _code_of(c) for c in classes}


def _architecture(network: MultiTaskNet) -> str:
    """The tree of modules, and the plain attributes of each."""
    lines = [repr(network)]
    for name, module in network.named_modules():
        own = {k: v for k, v in vars(module).items() if k not in _OF_MODULES}
        lines.append(f"{name}: {[(k, _text(own[k])) for k in sorted(own) if isinstance(own[k], _PLAIN)]}")
    return _ADDRESS.sub("", "\n".join(lines))


def _text(value: Any) -> str:
    """What tells a plain value from others, in every process."""
    if isinstance(value, Tensor):
        return _digest_of_values(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(k)}: {_text(v)}' for k, v in value.items())}}}"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(_text, value)))}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_text, value))}]"
    return repr(value)


def _digest_of_values(tensor: Tensor) -> str:
    data = tensor.detach().cpu().contiguous()
    digest = blake2b(data.reshape(-1).view(torch.uint8).numpy().data, digest_size=16)
    return f"{data.dtype}:{tuple(data.shape)}:{digest.hexdigest()}"


def _code_of(kind: type[Any]) -> str:
    """A digest of the file that a class is defined in; of one without a file, such as in a notebook, of its source."""
    try:
        file = inspect.getsourcefile(kind)
        if file is not None and Path(file).exists():
            return _digest_of(file)
        return blake2b(inspect.getsource(kind).encode(), digest_size=8).hexdigest()
    except (OSError, TypeError) as error:
        raise Uncacheable(f"the code of {kind.__module__}.{kind.__qualname__} cannot be read") from error


@cache
def _digest_of(file: str) -> str:  # as it is when a process reads it first, which is what the process imported
    return blake2b(Path(file).read_bytes(), digest_size=8).hexdigest()


def _device(device: torch.device) -> list[str | int]:
    """What decides over the last bits of a result: the processor, and the threads that share a sum."""
    if device.type == "cuda":
        return [torch.cuda.get_device_name(device)]
    return [device.type, torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()]
