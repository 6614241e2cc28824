"""Images and the labels they have."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NotRequired, Protocol, Self, TypedDict, overload

import torch
from torch import Tensor


@dataclass(frozen=True)
class ViewKey:
    """Which view of which sample an image is: within a run, equal keys of one source mean equal images, bit for bit.

    A cache of what a teacher computes may reuse a view that `repeats`, and the mirror image of an exact one where it
    can mirror what it keeps. Any other view occurs only once.

    Attributes:
        index: of the sample in its split, as the run reads it: a source that holds out a part of another one counts the
            samples of the part.
        epoch: pass through the source in which the view is drawn.
        seed: of the run that draws it.
        flipped: whether it is the mirror image, left to right.
        exact: whether it shows the whole sample, pixel by pixel: nothing is cut off, enlarged or recoloured.
        split: of the source that the sample belongs to.
        number: of the view among the few fixed ones of its sample, where the augmentation has such (`Augment.views`).
    """

    index: int
    epoch: int = 0
    seed: int = 0
    flipped: bool = False
    exact: bool = True
    split: Literal["train", "test"] = "train"
    number: int | None = None

    @property
    def repeats(self) -> bool:
        """Whether the view is the same in every epoch and run, whatever the seed.

        Equal source, split, index, flipped and number then mean equal images.
        """
        return self.exact or self.number is not None


class Sample(TypedDict):
    """One image of a dataset with its labels. A task's label may be absent: that is a normal case, never an error."""

    image: Tensor  # [3, H, W], RGB, float32 in 0..1
    labels: dict[str, Tensor]  # task name -> the label of this image, in the shape that `Task.collate` expects
    view: NotRequired[ViewKey]  # added by the loader; an augmentation that keeps whole images says so here


class Target(Protocol):
    """The labels of one task for the B images of a batch; the task alone knows what they hold."""

    def to(self, device: torch.device, non_blocking: bool = False) -> Self:
        """The same labels on `device`. With `non_blocking` the copy to a GPU may end after the call: see `transfer`."""

    def labelled(self) -> Tensor:
        """The images with a label that is valid somewhere: bool [B]."""

    def count(self) -> Tensor:
        """What the task's loss is divided by: a whole number [], 0 if and only if no image is labelled."""


class StackedLabels(Sequence[Tensor | None]):
    """The labels of a batch, or None for each image without one, that are one tensor already.

    Args:
        values: [B, ...]; anything where a label is missing.
        present: which images have a label.
    """

    def __init__(self, values: Tensor, present: Sequence[bool]) -> None:
        self.values, self.present = values, tuple(present)

    def __len__(self) -> int:
        return len(self.present)

    @overload
    def __getitem__(self, index: int) -> Tensor | None: ...

    @overload
    def __getitem__(self, index: slice) -> "StackedLabels": ...

    def __getitem__(self, index: int | slice) -> "Tensor | StackedLabels | None":
        if isinstance(index, slice):
            return StackedLabels(self.values[index], self.present[index])
        return self.values[index] if self.present[index] else None


@dataclass
class MaskedTarget:
    """Labels of one shape for all images, and where they are valid.

    Where `valid` is False, `value` may hold anything; a missing label is all False.
    """

    value: Tensor  # dense: [B, H, W] classes or [B, C, H, W] values; of the whole image: [B] or [B, C]
    valid: Tensor  # bool, one per position: dense [B, H, W]; of the whole image [B], or [B, C] with one per entry

    def to(self, device: torch.device, non_blocking: bool = False) -> Self:
        """The same on `device`."""
        value, valid = (transfer(x, device, non_blocking) for x in (self.value, self.valid))
        return replace(self, value=value, valid=valid)

    def labelled(self) -> Tensor:
        """The images with a valid position: bool [B]."""
        return self.valid.flatten(1).count_nonzero(1) > 0 if self.valid.ndim > 1 else self.valid  # `any` is slower

    def count(self) -> Tensor:
        """The number of valid positions: int64 []."""
        return self.valid.count_nonzero()


@dataclass
class Batch:
    """Images of one source with the targets they have: none, for images that only teachers see.

    Attributes:
        views: which view each image is; () where that is unknown.
        distorted: the images as networks that are trained see them (`train.distort`); None: as they are. Teachers that
            are frozen, and caches of what they compute, see `images`.
        labelled: Task -> bool [B]: the images with a label that is valid somewhere. This is the only answer to that
            question. It is computed once, from the targets, when the batch is made, and stays on the host, so that
            nothing waits for a GPU to know what there is to do. `to` passes it on; it is not changed afterwards.
        counts: Task -> `Target.count()`, int64 [], which is computed and passed on in the same way.
    """

    images: Tensor  # [B, 3, H, W], float32 in 0..1
    targets: dict[str, Target] = field(default_factory=dict)
    views: tuple[ViewKey, ...] = ()
    source: str = ""
    labelled: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, Tensor] = field(default_factory=dict)
    distorted: Tensor | None = None

    @property
    def shown(self) -> Tensor:
        """What networks that are trained see: [B, 3, H, W]."""
        return self.images if self.distorted is None else self.distorted

    def __post_init__(self) -> None:
        for t, target in self.targets.items():
            if t not in self.labelled:
                self.labelled[t] = target.labelled().cpu()
            if t not in self.counts:
                self.counts[t] = target.count().cpu()

    def to(self, device: torch.device, memory_format: torch.memory_format = torch.contiguous_format) -> "Batch":
        """Copy to `device`, to a GPU without waiting for it; only the images take the memory format."""

        def moved(x: Tensor) -> Tensor:
            return transfer(x, device, True).to(memory_format=memory_format)

        return replace(
            self,
            images=moved(self.images),
            distorted=None if self.distorted is None else moved(self.distorted),
            targets={t: x.to(device, True) for t, x in self.targets.items()},
        )


def transfer(x: Tensor, device: torch.device, non_blocking: bool) -> Tensor:
    """`x` on `device`; with `non_blocking` a copy from the host to a GPU goes through pinned memory.

    From pageable memory the host would wait until the GPU has finished everything before the copy.
    """
    if non_blocking and device.type == "cuda" and x.device.type == "cpu":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)
