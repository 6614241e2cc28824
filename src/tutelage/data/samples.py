"""The samples of a split, and samples made from other samples."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

from torch.utils.data import Dataset

from tutelage.data.coding import Bytes
from tutelage.data.look.stored import Stored
from tutelage.data.packed import Packed
from tutelage.types import Sample

_BYTES = Bytes()


class Samples(Dataset[Sample], ABC):
    """The samples of one split, by index. Sample i is always the same: there is no augmentation in it."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Sample: ...

    def pack(self, indices: Sequence[int], tasks: Collection[str]) -> Packed:
        """Some samples of one size, stacked, with their labels of `tasks`: the values of `samples[i]`."""
        return Packed.of([self[index] for index in indices], tasks)

    def tasks(self, index: int) -> Collection[str] | None:
        """The tasks for which a sample has a label, without reading it; None where only reading would tell.

        A run leaves out images that have no label of its tasks, unless a teacher is distilled on them.
        """
        return None

    def stamp(self, index: int) -> str | None:
        """A short text that changes whenever a file that a sample is read from changes, and with no other file.

        It is found without decoding the sample: of files it has the names within the data set, the sizes and the times
        of change. Samples with equal stamps of one source are equal. None:
        nothing is known, for example of a user's own dataset.
        """
        return None

    def stored(self, index: int) -> Mapping[str, Stored]:
        """How a sample's image, under the name "", and its labels are stored, as far as that is known."""
        return {}

    def where(self, index: int, task: str | None = None) -> str:
        """The origin of a sample's image, or of its label of `task`, for messages: its file, if it has one."""
        return f"sample {index}"


class Subset(Samples):
    """Some samples of a dataset.

    Args:
        dataset: The dataset.
        indices: The index in it of each sample, in the order of the subset.
    """

    def __init__(self, dataset: Samples, indices: list[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[self.indices[index]]

    def pack(self, indices: Sequence[int], tasks: Collection[str]) -> Packed:
        """The dataset's."""
        return self.dataset.pack([self.indices[index] for index in indices], tasks)

    def tasks(self, index: int) -> Collection[str] | None:
        """The answer of the dataset."""
        return self.dataset.tasks(self.indices[index])

    def stamp(self, index: int) -> str | None:
        """The answer of the dataset."""
        return self.dataset.stamp(self.indices[index])

    def stored(self, index: int) -> Mapping[str, Stored]:
        """The answer of the dataset."""
        return self.dataset.stored(self.indices[index])

    def where(self, index: int, task: str | None = None) -> str:
        """The answer of the dataset."""
        return self.dataset.where(self.indices[index], task)


class Concatenation(Samples):
    """Several datasets, one after the other.

    Args:
        datasets: The datasets in their order.
    """

    def __init__(self, datasets: list[Samples]) -> None:
        self.datasets = datasets

    def __len__(self) -> int:
        return sum(map(len, self.datasets))

    def __getitem__(self, index: int) -> Sample:
        dataset, index = self._locate(index)
        return dataset[index]

    def tasks(self, index: int) -> Collection[str] | None:
        """The answer of the sample's dataset."""
        dataset, index = self._locate(index)
        return dataset.tasks(index)

    def stamp(self, index: int) -> str | None:
        """The answer of the sample's dataset."""
        dataset, index = self._locate(index)
        return dataset.stamp(index)

    def stored(self, index: int) -> Mapping[str, Stored]:
        """The answer of the sample's dataset."""
        dataset, index = self._locate(index)
        return dataset.stored(index)

    def where(self, index: int, task: str | None = None) -> str:
        """The answer of the sample's dataset."""
        dataset, index = self._locate(index)
        return dataset.where(index, task)

    def _locate(self, index: int) -> tuple[Samples, int]:
        rest = index
        for dataset in self.datasets:
            if 0 <= rest < len(dataset):
                return dataset, rest
            rest -= len(dataset)
        raise IndexError(index)


class Around(Samples):
    """Samples read in another way than by their dataset, which answers everything else: of its files as they are now.

    Args:
        dataset: The dataset.
    """

    def __init__(self, dataset: Samples) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def tasks(self, index: int) -> Collection[str] | None:
        """The answer of the dataset."""
        return self.dataset.tasks(index)

    def stamp(self, index: int) -> str | None:
        """The answer of the dataset."""
        return self.dataset.stamp(index)

    def stored(self, index: int) -> Mapping[str, Stored]:
        """The answer of the dataset."""
        return self.dataset.stored(index)

    def where(self, index: int, task: str | None = None) -> str:
        """The answer of the dataset."""
        return self.dataset.where(index, task)


class Memory(Around):
    """A dataset whose samples are kept in memory, bit for bit, once they have been read.

    An image whose values are all k / 255 is kept as bytes, everything else in its own type: a sample of 64x96 with
    three labels takes 0.2 MB. Each process of `train.workers` keeps its own copies, so that `train.workers: 0` is
    best.

    Args:
        dataset: The dataset; each of its samples is read once.
    """

    def __init__(self, dataset: Samples) -> None:
        super().__init__(dataset)
        self.kept: dict[int, Sample] = {}

    def __getitem__(self, index: int) -> Sample:
        if index not in self.kept:
            sample = self.dataset[index]
            codes = _BYTES.encode(sample["image"])
            self.kept[index] = Sample(image=sample["image"] if codes is None else codes, labels=sample["labels"])
        sample = self.kept[index]
        image = sample["image"]
        image = _BYTES.decode(image) if image.dtype == _BYTES.stored else image
        return Sample(image=image, labels=dict(sample["labels"]))
