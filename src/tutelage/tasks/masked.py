"""What tasks share whose labels have one shape for all images of a size."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from tutelage.types import MaskedTarget, StackedLabels, Task, Term

_CACHED = 1 << 18  # values that are looked at at once on a CPU


class MaskedTask(Task[MaskedTarget], ABC):
    """A task whose labels are stacked to one tensor [B, ...], with a mask of the positions that are valid."""

    @abstractmethod
    def missing(self, image: Tensor) -> Tensor:
        """The label of an image [3, H, W] without one: valid nowhere, in the shape and type of every label."""

    @abstractmethod
    def valid(self, label: Tensor) -> Tensor:
        """Where labels [B, ...] are valid: bool, one per position of the loss."""

    def validate_values(self, label: Tensor) -> str | None:
        """What is wrong with the values of a label of the right shape, as `validate` returns it."""
        return None

    def collate(self, labels: Sequence[Tensor | None], images: Tensor) -> MaskedTarget:
        """The labels stacked, with `missing` in place of None.

        Raises:
            UserError: See `valid`.
        """
        if isinstance(labels, StackedLabels) and all(labels.present):
            value = labels.values
        else:
            missing = self.missing(images[0])
            value = torch.stack([missing if label is None else label for label in labels])
        return MaskedTarget(value, self._valid_each(value))

    def _valid_each(self, value: Tensor) -> Tensor:
        """`valid` of labels [B, ...]: of large ones on a CPU one after the other, which its caches hold."""
        if value.is_cuda or value.numel() <= _CACHED:
            return self.valid(value)
        parts = torch.split(value, max(1, _CACHED * len(value) // value.numel()))
        return torch.cat([self.valid(part) for part in parts])

    def validate(self, label: Tensor, image: Tensor) -> str | None:
        """Another shape than that of `missing`, another kind of number, or what `validate_values` returns."""
        expected = self.missing(image)
        if label.shape == expected.shape and label.is_floating_point() == expected.is_floating_point():
            return self.validate_values(label)
        return (
            f"expected {_kind(expected)} for the task {type(self).__name__}, found {_kind(label)}; give the label "
            "another `kind`, or take another task"
        )

    def distillation_loss(self, raw: Tensor, taught: Tensor, temperature: float = 1.0) -> Term:
        """`loss` against the activated `taught`, valid at every position [B, ...] of its [B, C, ...].

        Override it where the loss is of logits, or where each of C numbers is a position.
        """
        value = self.activate(taught.detach())
        valid = torch.ones(value.shape[:1] + value.shape[2:], dtype=torch.bool, device=value.device)
        return self.loss(raw, MaskedTarget(value, valid))


def _kind(label: Tensor) -> str:
    return f"{str(label.dtype).removeprefix('torch.')} {list(label.shape)}"
