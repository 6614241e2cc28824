"""Batches that are on a GPU before they are needed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from tutelage.train.views import PackedBatch
from tutelage.types import Batch, transfer

Fetch = Callable[[Tensor], Tensor]  # to the host


class Prefetcher(Iterable[Batch]):
    """Copies one batch ahead to a GPU and finishes it there, in a stream of its own, while the step before computes.

    The step's stream waits for the batch on the GPU; the host waits only for the counts of labels, which were on their
    way for a whole step.

    Args:
        batches: yields batches or packed ones in host memory.
        finish: makes a batch of a packed one on the device, with a function that brings small tensors to the host.
        device: the GPU.
    """

    def __init__(
        self,
        batches: Iterable[Any],
        finish: Callable[[PackedBatch, Callable[[Tensor], Tensor]], Batch],
        device: torch.device,
    ) -> None:
        self.batches, self.finish, self.device = batches, finish, device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # of torch

    def __iter__(self) -> Iterator[Batch]:
        ahead: tuple[Batch, torch.cuda.Event] | None = None
        for item in self.batches:
            following = self._begin(item)
            if ahead is not None:
                yield self._hand_over(*ahead)
            ahead = following
        if ahead is not None:
            yield self._hand_over(*ahead)

    def _begin(self, item: Batch | PackedBatch) -> tuple[Batch, torch.cuda.Event]:
        """The batch, as it will be once the event has happened."""
        with torch.cuda.stream(self.stream):
            batch = self.finish(item.map(self._send), _fetch) if isinstance(item, PackedBatch) else item.to(self.device)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # of torch
            event.record(self.stream)
        return batch, event

    def _send(self, x: Tensor) -> Tensor:
        return transfer(x, self.device, non_blocking=True)

    def _hand_over(self, batch: Batch, event: torch.cuda.Event) -> Batch:
        event.synchronize()  # what was copied to the host is there; the batch was begun one step ago
        current = torch.cuda.current_stream(self.device)
        current.wait_event(event)
        for x in _tensors(batch):
            if x.is_cuda:
                x.record_stream(current)  # else its memory is free for the next batch while this step reads it
        return batch


def _fetch(x: Tensor) -> Tensor:
    """A copy in pinned memory, which is there when the stream has come so far."""
    return torch.empty(x.shape, dtype=x.dtype, pin_memory=True).copy_(x, non_blocking=True)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in a batch; those of a target of the user's are found in its fields."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))
    elif hasattr(value, "__dict__"):
        yield from _tensors(vars(value))
