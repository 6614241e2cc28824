"""Sources that are a list of items: an image and its labels, as pictures, arrays, numbers or files."""

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from hashlib import blake2b
from threading import RLock
from typing import Any

import torch
from torch import Tensor

from tutelage.data.base import Chosen, DataSource, Memory, Samples, Split, ranked
from tutelage.data.files import first_line
from tutelage.data.modalities import Modality, Rgb, Size
from tutelage.errors import UserError
from tutelage.types import Sample

_GLANCE = 16  # items of each dataset that the fingerprint reads
_ONE = RLock()  # samples are checked in parallel, which a dataset of the user's need not be made for


class ItemSource(DataSource):
    """A source of one dataset or two; where there is no `val`, a part of `train` is held out.

    Item i is held out by the rank of a hash of (seed, i): the same items on every machine.

    Args:
        name: of the source.
        modalities: task -> how its labels are decoded, resized and augmented.
        size: height and width of everything; none leaves items as they are.
        holdout: part of `train` that is held out where there is no `val`.
        holdout_seed: which part.
        cache: keep decoded and resized samples in memory.
        version: what the fingerprint has in place of a look at the items.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        name: str,
        modalities: Mapping[str, Modality],
        size: Size | None,
        holdout: float,
        holdout_seed: int,
        cache: bool,
        version: str | None = None,
    ) -> None:
        if not 0 < holdout < 1:
            raise UserError(f"data.holdout: expected a part between 0 and 1, found {holdout}")
        if size is not None and min(size) < 1:
            raise UserError(f"data.size: expected height and width of at least 1, found {size}")
        self.name, self.modalities, self.size, self.cache = name, modalities, size, cache
        self.holdout, self.holdout_seed, self.version = holdout, holdout_seed, version

    @abstractmethod
    def datasets(self) -> dict[Split, "Items"]:
        """The items of `train` and, where there is one, `val`; asked for once.

        Raises:
            ValueError: There are none, or they do not fit the arguments.
        """

    @cached_property
    def _datasets(self) -> dict[Split, "Items"]:
        return self.datasets()

    @cached_property
    def _splits(self) -> dict[Split, Samples]:
        found: dict[Split, Samples] = {**self._datasets}
        if "val" not in found:
            train = found["train"]
            order = ranked(len(train), str(self.holdout_seed))
            held = round(self.holdout * len(train))
            found = {"train": Chosen(train, sorted(order[held:])), "val": Chosen(train, sorted(order[:held]))}
        return {split: Memory(samples) for split, samples in found.items()} if self.cache else found

    def split(self, split: Split) -> Samples:
        """The samples of a split, in the dataset's order."""
        return self._splits[split]

    def check(self, tasks: Collection[str]) -> None:
        """Every task has a kind, both splits have samples, and the first is the same when it is read again."""
        self.check_names(tasks)
        for split, samples in self._splits.items():
            if not len(samples):
                remedy = "add some" if split in self._datasets and len(self._datasets) == 2 else "change data.holdout"
                raise UserError(f"data: expected samples for {split}, found none; {remedy}")
        for items in self._datasets.values():
            if list(_bytes(items[0])) != list(_bytes(items[0])):
                raise UserError(
                    f"{items.where(0)}: expected the same sample whenever it is read, found another the second time; "
                    "take what is random out of the dataset: train.augment makes random views"
                )

    def fingerprint(self) -> str:
        """Of classes, lengths and arguments, and of `version` or else of a few items of each dataset."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        arguments = (dict(self.modalities), self.size, self.holdout, self.holdout_seed, self.version)
        digest = blake2b(repr(arguments).encode(), digest_size=8)
        for split, items in self._datasets.items():
            digest.update(f"{split}: {len(items)} of {type(items.dataset).__qualname__}\n".encode())
            if self.version is None:
                for index in sorted({i * len(items) // _GLANCE for i in range(_GLANCE if len(items) else 0)}):
                    for part in _bytes(items[index]):
                        digest.update(part)
        return digest.hexdigest()


class Items(Samples):
    """The items of a dataset, decoded.

    Args:
        dataset: yields {"image": ..., "labels": {task: ...}}.
        modalities: task -> how its labels are decoded and resized.
        size: height and width of everything; none leaves items as they are.
        name: of the dataset in messages.
    """

    def __init__(self, dataset: Any, modalities: Mapping[str, Modality], size: Size | None, name: str) -> None:
        self.dataset, self.modalities, self.size, self.name = dataset, modalities, size, name

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        image, given = self._read(index)
        rgb = Rgb()
        pixels = rgb.take(image, self.where(index))
        shape = (pixels.shape[1], pixels.shape[2])
        labels: dict[str, Tensor] = {}
        for task, value in given.items():
            if task not in self.modalities:
                raise UserError(
                    f"{self.where(index)}: expected labels of {', '.join(self.modalities)}; found `{task}`; name its "
                    "kind in the source, or leave it out"
                )
            if value is not None:
                kind, where = self.modalities[task], self.where(index, task)
                labels[task] = kind.label(kind.take(value, where), shape, self.size, where)
        return Sample(image=rgb.resize(pixels, self.size or shape), labels=labels)

    def _read(self, index: int) -> tuple[object, Mapping[str, object]]:
        try:
            with _ONE:
                item = self.dataset[index]
        except Exception as error:  # whatever a dataset of the user's raises
            raise UserError(
                f"{self.where(index)}: expected a sample, found {type(error).__name__}: {first_line(error)}; mend the "
                "dataset"
            ) from error
        if isinstance(item, Mapping) and set(item) >= {"image", "labels"} and isinstance(item["labels"], Mapping):
            return item["image"], item["labels"]
        found = f"the keys {', '.join(map(str, item)) or 'none'}" if isinstance(item, Mapping) else type(item).__name__
        raise UserError(
            f'{self.where(index)}: expected {{"image": ..., "labels": {{task: ...}}}}, found {found}; wrap the dataset'
        )

    def where(self, index: int, task: str | None = None) -> str:
        """Dataset, index and label."""
        return f"{self.name}[{index}]" + (f", label `{task}`" if task else "")


def _bytes(sample: Sample) -> Iterator[bytes]:
    for name, x in [("", sample["image"]), *sorted(sample["labels"].items())]:
        yield f"{name}: {x.dtype} {list(x.shape)}\n".encode()
        yield x.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
