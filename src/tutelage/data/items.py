"""Sources whose items are an image and its labels: pictures, arrays, numbers or files."""

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from hashlib import blake2b
from threading import RLock
from typing import Any

import torch
from torch import Tensor

from tutelage.data.base import DataSource, Split, check_arguments
from tutelage.data.fingerprint import FINGERPRINTED, arguments_text, ranked
from tutelage.data.look.stored import Stored, stored_as
from tutelage.data.modalities import Modality, Rgb
from tutelage.data.samples import Memory, Samples, Subset
from tutelage.errors import UserError, one_line
from tutelage.images import Size, resize_image
from tutelage.types import Sample

_FINGERPRINT_ITEMS = 16  # that are read of each dataset
_LOCK = RLock()  # samples are checked in several threads, and a user's dataset need not be thread-safe


class ItemSource(DataSource):
    """A source of one dataset, or of two: `train` and `test`. Without `test`, a part of `train` is held out.

    Item i is held out by the rank of a hash of (seed, i): the same items on every machine.

    Args:
        name: The name of the source.
        modalities: Task -> the kind of its labels.
        size: Height and width to which images and labels are resized; None keeps their own.
        holdout: The part of `train` that is held out where there is no `test`.
        holdout_seed: Which part is held out.
        cache: Keep decoded and resized samples in memory.
        version: Stands for the items in the fingerprint.

    Raises:
        UserError: An argument is out of range.
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
        check_arguments(holdout, size)
        self.name, self.modalities, self.size, self.cache = name, modalities, size, cache
        self.holdout, self.holdout_seed, self.version = holdout, holdout_seed, version
        self.sampled = version is None

    @abstractmethod
    def datasets(self) -> dict[Split, "Items"]:
        """The items of `train` and, if there are any, of `test`; called once.

        Raises:
            UserError: There are none, or they do not fit the arguments.
        """

    @cached_property
    def _datasets(self) -> dict[Split, "Items"]:
        return self.datasets()

    @cached_property
    def _splits(self) -> dict[Split, Samples]:
        splits: dict[Split, Samples] = {**self._datasets}
        if "test" not in splits:
            train = splits["train"]
            order = ranked(range(len(train)), self.holdout_seed)
            held = round(self.holdout * len(train))
            splits = {"train": Subset(train, sorted(order[held:])), "test": Subset(train, sorted(order[:held]))}
        return {split: Memory(samples) for split, samples in splits.items()} if self.cache else splits

    def split(self, split: Split) -> Samples:
        """The samples of a split, in the dataset's order."""
        return self._splits[split]

    def check(self, tasks: Collection[str]) -> None:
        """Raise unless tasks have labels, splits have samples, and a first sample is the same when it is read again."""
        self.check_names(tasks)
        for split, samples in self._splits.items():
            if not len(samples):
                remedy = "add some" if split in self._datasets and len(self._datasets) == 2 else "change data.holdout"
                raise UserError(f"data: expected samples for {split}, found none; {remedy}")
        for items in self._datasets.values():
            if list(_bytes(items[0])) != list(_bytes(items[0])):
                raise UserError(
                    f"{items.where(0)}: expected the same sample whenever it is read, found another the second time; "
                    "take what is random out of the dataset, and set train.augment instead"
                )

    def fingerprint(self) -> str:
        """Depends on classes, lengths and arguments, and on `version` or else on a few items of each dataset."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        arguments = arguments_text(dict(self.modalities), self.size, self.holdout, self.holdout_seed, self.version)
        digest = blake2b(arguments.encode(), digest_size=8)
        for split, items in self._datasets.items():
            digest.update(f"{FINGERPRINTED[split]}: {len(items)} of {type(items.dataset).__qualname__}\n".encode())
            if self.version is None:
                count = _FINGERPRINT_ITEMS if len(items) else 0
                for index in sorted({i * len(items) // _FINGERPRINT_ITEMS for i in range(count)}):
                    for part in _bytes(items[index]):
                        digest.update(part)
        return digest.hexdigest()


class Items(Samples):
    """The items of a dataset, decoded.

    Args:
        dataset: Its items are {"image": ..., "labels": {task: ...}}.
        modalities: Task -> the kind of its labels.
        size: Height and width to which images and labels are resized; None keeps their own.
        name: The name of the dataset in messages.
    """

    def __init__(self, dataset: Any, modalities: Mapping[str, Modality], size: Size | None, name: str) -> None:
        self.dataset, self.modalities, self.size, self.name = dataset, modalities, size, name

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        image, values = self._read(index)
        pixels = Rgb().take(image, self.where(index))
        shape = (pixels.shape[1], pixels.shape[2])
        labels: dict[str, Tensor] = {}
        for task, value in values.items():
            if task not in self.modalities:
                raise UserError(
                    f"{self.where(index)}: expected labels of {', '.join(self.modalities)}; found `{task}`; name its "
                    "kind in the source, or leave it out"
                )
            if value is not None:
                kind, where = self.modalities[task], self.where(index, task)
                labels[task] = kind.label(kind.take(value, where), shape, self.size, where)
        return Sample(image=pixels if self.size is None else resize_image(pixels, self.size), labels=labels)

    def _read(self, index: int) -> tuple[object, Mapping[str, object]]:
        try:
            with _LOCK:
                item = self.dataset[index]
        except UserError as error:  # which says itself what to do
            raise UserError(f"{self.where(index)}: {error}") from error
        except Exception as error:  # whatever a dataset of the user's raises
            raise UserError(
                f"{self.where(index)}: expected a sample, found {type(error).__name__}: {one_line(error)}; "
                "correct the dataset"
            ) from error
        if isinstance(item, Mapping) and set(item) >= {"image", "labels"} and isinstance(item["labels"], Mapping):
            return item["image"], item["labels"]
        kind = f"the keys {', '.join(map(str, item)) or 'none'}" if isinstance(item, Mapping) else type(item).__name__
        raise UserError(
            f'{self.where(index)}: expected {{"image": ..., "labels": {{task: ...}}}}, found {kind}; wrap the dataset'
        )

    def stored(self, index: int) -> Mapping[str, Stored]:
        """What files, pictures and arrays say of themselves."""
        image, values = self._read(index)
        items = {"": image, **{task: value for task, value in values.items() if value is not None}}
        return {name: x for name, value in items.items() if (x := stored_as(value)) is not None}

    def where(self, index: int, task: str | None = None) -> str:
        """The dataset, the index and the label."""
        return f"{self.name}[{index}]" + (f", label `{task}`" if task else "")


def _bytes(sample: Sample) -> Iterator[bytes]:
    for name, x in [("", sample["image"]), *sorted(sample["labels"].items())]:
        yield f"{name}: {x.dtype} {list(x.shape)}\n".encode()
        yield x.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
