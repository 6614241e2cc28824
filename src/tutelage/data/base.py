"""What every source of images and labels is."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from tutelage.data.modalities import Modality
from tutelage.types import Sample

Split = Literal["train", "val"]


class Samples(Dataset[Sample], ABC):
    """A map-style dataset: sample i is always the same, without augmentation."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Sample: ...

    def where(self, index: int, task: str | None = None) -> str:
        """Where a sample's image, or its label of `task`, comes from, for messages: a file, where it has one."""
        return f"sample {index}"


class DataSource(ABC):
    """Images and labels of one origin, in two splits.

    Attributes:
        name: Of the source.
        modalities: By task: how its label is resized, flipped and scaled.
        trusted: Samples are made by a program, not read from a person's files: a few are looked at before training, not
            all.
    """

    name: str
    modalities: Mapping[str, Modality]
    trusted: bool = False

    @abstractmethod
    def split(self, split: Split) -> Samples:
        """The samples of a split."""

    @abstractmethod
    def check(self, tasks: Collection[str]) -> None:
        """Raise a one-line ValueError where `tasks` cannot be trained on these data."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A short text that changes when the data change, as far as a glance can tell, and not when they are moved."""

    def check_names(self, tasks: Collection[str]) -> None:
        """Raise a ValueError where a task has no labels here."""
        for task in tasks:
            if task not in self.modalities:
                known = ", ".join(self.modalities) or "none"
                raise ValueError(f"tasks.{task}: expected the name of a label of the data ({known}), found `{task}`")


class Memory(Samples):
    """Keeps every sample of another dataset in memory once it was read, as it is, bit for bit.

    An image whose values are k / 255 is kept as bytes, everything else in its own type: a sample of 64x96 with three
    labels takes 0.2 MB. With `train.workers` each process keeps its own; data in memory are best loaded without.

    Args:
        dataset: Read once.
    """

    def __init__(self, dataset: Samples) -> None:
        self.dataset = dataset
        self.kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        if index not in self.kept:
            sample = self.dataset[index]
            self.kept[index] = Sample(image=_pack(sample["image"]), labels=sample["labels"])
        sample = self.kept[index]
        return Sample(image=_unpack(sample["image"]), labels=dict(sample["labels"]))

    def where(self, index: int, task: str | None = None) -> str:
        """As the other dataset says."""
        return self.dataset.where(index, task)


def _pack(image: Tensor) -> Tensor:
    packed = (image * 255).round().to(torch.uint8)
    return packed if torch.equal(_unpack(packed), image) else image


def _unpack(image: Tensor) -> Tensor:
    return image.float() / 255 if image.dtype == torch.uint8 else image
