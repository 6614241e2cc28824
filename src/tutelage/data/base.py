"""What every source of images and labels is."""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from tutelage.data.modalities import Modality
from tutelage.errors import UserError
from tutelage.types import Sample

Split = Literal["train", "val"]
_KEY = re.compile(r"(?<!\S)data\.(?=\w+(?![\w/\\]))")  # the beginning of a source's key, but not of a path


class Samples(Dataset[Sample], ABC):
    """A map-style dataset: sample i is always the same, without augmentation."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Sample: ...

    def tasks(self, index: int) -> Collection[str] | None:
        """The tasks that a sample has a label of, known without reading it; None: not known.

        An image that is known to have no label of a run's tasks is left out of it, unless a teacher speaks about it.
        """
        return None

    def where(self, index: int, task: str | None = None) -> str:
        """Where a sample's image, or its label of `task`, comes from, for messages: a file, where it has one."""
        return f"sample {index}"


@dataclass
class WeightedSource:
    """A source, and its weight against the others of its mix; None: as many of a step's images as it has of all."""

    source: "DataSource"
    weight: float | None = None


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

    def parts(self) -> dict[str, WeightedSource]:
        """The sources that are trained on side by side, by name; most are one."""
        return {self.name: WeightedSource(self)}

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
                raise UserError(f"tasks.{task}: expected the name of a label of the data ({known}), found `{task}`")


class Wrapper(DataSource):
    """A source that is another one, changed; of several sources, each is changed alike.

    Args:
        source: to change.
    """

    def __init__(self, source: DataSource) -> None:
        self.source = source
        self.name, self.modalities, self.trusted = source.name, source.modalities, source.trusted

    @abstractmethod
    def around(self, source: DataSource) -> DataSource:
        """The same change of another source."""

    @abstractmethod
    def split_of_source(self, split: Split) -> Samples:
        """The samples of a split of a single source."""

    def parts(self) -> dict[str, WeightedSource]:
        """Every part of the source, changed."""
        parts = self.source.parts()
        if list(parts) == [self.source.name]:
            return {self.name: WeightedSource(self)}
        return {name: WeightedSource(self.around(part.source), part.weight) for name, part in parts.items()}

    def split(self, split: Split) -> Samples:
        """The samples of a split, source after source."""
        parts = [part.source for part in self.parts().values()]
        return self.split_of_source(split) if parts == [self] else Joined([part.split(split) for part in parts])

    def check(self, tasks: Collection[str]) -> None:
        """As the source says."""
        self.source.check(tasks)


def renamed(error: UserError, key: str) -> UserError:
    """A source's error as its user knows it, whose keys are below `key`: `data.root` as `data.source.root`."""
    return UserError(_KEY.sub(f"{key}.", str(error), count=1))


def identity(source: DataSource) -> str:
    """A source's class and its fingerprint, for that of a source which holds it."""
    return f"{type(source).__module__}.{type(source).__qualname__}: {source.fingerprint()}"


def ranked(count: int, seed: str) -> list[int]:
    """0..count-1 in the order of a hash of (seed, i), which is the same on every machine."""
    return sorted(range(count), key=lambda i: blake2b(f"{seed}/{i}".encode(), digest_size=8).digest())


class Chosen(Samples):
    """Some samples of another dataset.

    Args:
        dataset: has them.
        indices: theirs in it, in the order of this one.
    """

    def __init__(self, dataset: Samples, indices: list[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[self.indices[index]]

    def tasks(self, index: int) -> Collection[str] | None:
        """As the other dataset says."""
        return self.dataset.tasks(self.indices[index])

    def where(self, index: int, task: str | None = None) -> str:
        """As the other dataset says."""
        return self.dataset.where(self.indices[index], task)


class Joined(Samples):
    """Several datasets one after the other.

    Args:
        datasets: in their order.
    """

    def __init__(self, datasets: list[Samples]) -> None:
        self.datasets = datasets

    def __len__(self) -> int:
        return sum(map(len, self.datasets))

    def __getitem__(self, index: int) -> Sample:
        dataset, index = self._of(index)
        return dataset[index]

    def tasks(self, index: int) -> Collection[str] | None:
        """As its dataset says."""
        dataset, index = self._of(index)
        return dataset.tasks(index)

    def where(self, index: int, task: str | None = None) -> str:
        """As its dataset says."""
        dataset, index = self._of(index)
        return dataset.where(index, task)

    def _of(self, index: int) -> tuple[Samples, int]:
        rest = index
        for dataset in self.datasets:
            if 0 <= rest < len(dataset):
                return dataset, rest
            rest -= len(dataset)
        raise IndexError(index)


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

    def tasks(self, index: int) -> Collection[str] | None:
        """As the other dataset says."""
        return self.dataset.tasks(index)

    def where(self, index: int, task: str | None = None) -> str:
        """As the other dataset says."""
        return self.dataset.where(index, task)


def _pack(image: Tensor) -> Tensor:
    packed = (image * 255).round().to(torch.uint8)
    return packed if torch.equal(_unpack(packed), image) else image


def _unpack(image: Tensor) -> Tensor:
    return image.float() / 255 if image.dtype == torch.uint8 else image
