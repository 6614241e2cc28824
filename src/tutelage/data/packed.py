"""Samples of one size, stacked as they are stored: what a batch is made of."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tutelage.data.coding import Coding, Same
from tutelage.types import Sample


@dataclass(frozen=True)
class Column:
    """The images of a batch, or its labels of one task.

    Attributes:
        values: as they are stored [B, ...]; anything where a label is missing.
        coding: how they are stored.
        present: which samples have the label.
    """

    values: Tensor
    coding: Coding
    present: tuple[bool, ...]

    def decode(self) -> Tensor:
        """The values [B, ...] themselves."""
        return self.coding.decode_each(self.values)

    def holding(self, values: Tensor) -> "Column":
        """Decoded values in place of these, for the same samples."""
        return Column(values, Same(values.dtype), self.present)


@dataclass(frozen=True)
class Packed:
    """Samples of one size, stacked as they are stored.

    Attributes:
        images: of all samples.
        labels: Task -> its labels, where at least one sample has one.
    """

    images: Column
    labels: dict[str, Column]

    @classmethod
    def of(cls, samples: Sequence[Sample], tasks: Collection[str]) -> "Packed":
        """Decoded samples, with their labels of `tasks`."""
        images = _stacked([sample["image"] for sample in samples])
        labels = {t: [sample["labels"].get(t) for sample in samples] for t in tasks}
        return cls(images, {t: _stacked(x) for t, x in labels.items() if any(y is not None for y in x)})

    def decode(self) -> "Packed":
        """The same samples, decoded."""
        labels = {t: x.holding(x.decode()) for t, x in self.labels.items()}
        return Packed(self.images.holding(self.images.decode()), labels)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Packed":
        """The same with all values changed, for example moved."""
        columns = {t: replace(x, values=change(x.values)) for t, x in self.labels.items()}
        return Packed(replace(self.images, values=change(self.images.values)), columns)


def _stacked(values: Sequence[Tensor | None]) -> Column:
    first = next(x for x in values if x is not None)
    stacked = torch.stack([first if x is None else x for x in values])
    return Column(stacked, Same(first.dtype), tuple(x is not None for x in values))
