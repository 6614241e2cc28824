"""Gradients added over the processes, bucket by bucket, while the last backward pass of a step is under way."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import Self

import torch
from torch import Tensor, nn

from tutelage.balance.rows import like
from tutelage.types import World

BUCKET = 25 * 2**20  # bytes: few enough sums, and the first of them begins early


class _Bucket:
    """Some parameters, and their gradients one behind the other."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = parameters
        ends = list(accumulate((p.numel() for p in parameters), initial=0))
        self.flat = torch.empty(ends[-1], dtype=parameters[0].dtype, device=parameters[0].device)
        pairs = zip(parameters, pairwise(ends), strict=True)
        self.pieces = [like(p, self.flat[start:end]) for p, (start, end) in pairs]
        self.missing: set[nn.Parameter] = set()  # whose gradient the pass that is under way has not completed

    def fill(self) -> None:
        """Copy the gradients; zeros where there is none."""
        for p, piece in zip(self.parameters, self.pieces, strict=True):
            piece.zero_() if p.grad is None else piece.copy_(p.grad)


class Gradients:
    """The sum of `.grad` over all processes: what one process computes for all images.

    A sum begins as soon as the backward pass has completed the gradients of its bucket and of those before, in an order
    that is the same in all processes. A parameter that has a gradient in any process gets one in all; one that has none
    anywhere keeps None, so that its optimiser leaves it alone. With one process it does nothing. As a context manager
    it listens to backward passes until the end of the block.

    Args:
        world: the processes.
        parameters: in the order of the forward pass; the backward pass completes the last of them first.
        bucket: bytes of a bucket.
    """

    def __init__(self, world: World, parameters: Iterable[nn.Parameter], bucket: int = BUCKET) -> None:
        self.world = world
        ordered = list(dict.fromkeys(p for p in parameters if p.requires_grad))[::-1] if world.size > 1 else []
        self._buckets = [_Bucket(group) for group in _grouped(ordered, bucket)]
        self._of = {p: bucket for bucket in self._buckets for p in bucket.parameters}
        self._started, self._listening = 0, False
        self._hooks = [p.register_post_accumulate_grad_hook(self._completed) for p in ordered]  # type: ignore[no-untyped-call]  # torch has no annotation here

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    @contextmanager
    def during(self, last_pass: bool) -> Iterator[None]:
        """A block that, with `last_pass`, makes the one backward pass that completes the gradients."""
        if not last_pass or not self._buckets:
            yield
            return
        for bucket in self._buckets:
            bucket.missing = set(bucket.parameters)
        self._listening = True
        try:
            yield
        finally:
            self._listening = False

    def finish(self) -> None:
        """Begin the sums that no pass has begun, wait for all, and give every parameter its gradient."""
        if not self._buckets:
            return
        present = torch.tensor([int(p.grad is not None) for p in self._of])
        for bucket in self._buckets[self._started :]:
            self._start(bucket)
        anywhere = self.world.sum(present).tolist()
        self.world.wait()
        pieces = (piece for bucket in self._buckets for piece in bucket.pieces)
        for p, piece, count in zip(self._of, pieces, anywhere, strict=True):
            if count:
                p.grad = piece
        self._started = 0

    def _completed(self, p: Tensor) -> None:
        if not self._listening:
            return
        self._of[p].missing.discard(p)  # type: ignore[index]  # hooks are annotated for any tensor
        while self._started < len(self._buckets) and not self._buckets[self._started].missing:
            self._start(self._buckets[self._started])

    def _start(self, bucket: _Bucket) -> None:
        bucket.fill()
        self.world.start_sum(bucket.flat)
        self._started += 1


def _grouped(parameters: Sequence[nn.Parameter], size: int) -> Iterator[list[nn.Parameter]]:
    """Neighbours of one kind, up to `size` bytes together."""
    group: list[nn.Parameter] = []
    for p in parameters:
        bytes_ = sum(q.numel() * q.element_size() for q in (*group, p))
        if group and (bytes_ > size or (p.dtype, p.device) != (group[0].dtype, group[0].device)):
            yield group
            group = []
        group.append(p)
    if group:
        yield group
