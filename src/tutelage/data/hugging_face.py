"""A source of a dataset of Hugging Face's `datasets`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tutelage.data.base import Split
from tutelage.data.files import doubts_of_splits
from tutelage.data.hugging_face_rows import Rows
from tutelage.data.items import Items, ItemSource
from tutelage.data.modalities import Modality
from tutelage.errors import UserError, one_line
from tutelage.images import Size
from tutelage.types.look import Warned


@dataclass
class Column:
    """The column of a task's labels, and their kind.

    Args:
        column: The name of the column.
        kind: How the labels are decoded, resized and augmented.
    """

    column: str
    kind: Modality


class HuggingFace(ItemSource):
    """A `datasets.Dataset` or `DatasetDict`, or the folder that its `save_to_disk` wrote.

    Columns hold pictures, numbers (as those of `datasets.ClassLabel`), arrays or sequences, which are decoded as those
    of `FromDataset`; None is a missing label. Nothing is downloaded: call `load_dataset` and `save_to_disk` before.

    Args:
        data: The object, or the folder.
        labels: Task -> column and kind.
        image: The column of the images.
        train: The split of a DatasetDict to train on.
        test: The split to evaluate on, once, after training; None holds out a part of `train`.
        name: The name of the source.
        size: Height and width to which images and labels are resized; None keeps their own.
        holdout: The part of `train` that is held out where `test` is None.
        holdout_seed: Which part is held out.
        cache: Keep decoded and resized samples in memory.
        version: As in `FromDataset`.

    Raises:
        UserError: An argument is out of range. `check` and `split` raise it if the data do not fit the arguments, or if
            `datasets` is not installed.
    """

    def __init__(
        self,
        data: Any,
        labels: dict[str, Column],
        image: str = "image",
        train: str = "train",
        test: str | None = None,
        name: str = "hugging-face",
        size: Size | None = None,
        holdout: float = 0.2,
        holdout_seed: int = 0,
        cache: bool = False,
        version: str | None = None,
    ) -> None:
        modalities = {task: label.kind for task, label in labels.items()}
        super().__init__(name, modalities, size, holdout, holdout_seed, cache, version)
        self.data, self.labels, self.image, self.train, self.test = data, labels, image, train, test

    def datasets(self) -> dict[Split, Items]:
        """The rows of `train` and, unless it is None, `test`."""
        data = self._data
        names: dict[Split, str] = {"train": self.train}
        if self.test is not None:
            names["test"] = self.test
        datasets: dict[Split, Items] = {}
        for split, name in names.items():
            rows = self._rows(data, split, name)
            datasets[split] = _RowItems(rows, self.modalities, self.size, f"data.{split}")
        self._check_classes(*(items.dataset for items in datasets.values()))
        return datasets

    @cached_property
    def _data(self) -> Any:
        return _load(Path(self.data)) if isinstance(self.data, str | Path) else self.data

    def doubts(self) -> list[Warned]:
        """A split to evaluate on that is not read."""
        names = [str(name) for name in self._data if name != self.train] if isinstance(self._data, Mapping) else []
        return doubts_of_splits("data", "data.test", names) if self.test is None else []

    def _check_classes(self, train: Rows, test: Rows | None = None) -> None:
        """Raise where the numbers of a column stand for other classes in `test` than in `train`."""
        for task, label in self.labels.items():
            one, other = (None if x is None else x.data.features[label.column] for x in (train, test))
            names, others = getattr(one, "names", None), getattr(other, "names", None)
            if names and others and names != others:
                number, a, b = next((i, a, b) for i, (a, b) in enumerate(zip_longest(names, others)) if a != b)
                raise UserError(
                    f"data.labels.{task}: expected the numbers in `{label.column}` to mean the same in both splits, "
                    f"found {number} for {a or 'no class'} in train and for {b or 'no class'} in test; cast both to "
                    "one datasets.ClassLabel"
                )

    def _rows(self, data: Any, split: Split, name: str) -> Rows:
        if isinstance(data, Mapping):
            if name not in data:
                names = ", ".join(map(str, data))
                raise UserError(f"data.{split}: expected one of the splits {names}; found `{name}`")
            data = data[name]
        elif split == "test":
            raise UserError(
                f"data.test: expected a DatasetDict with a split `{name}`, found one {type(data).__name__}; leave "
                "`test` out to hold out a part of it"
            )
        if not hasattr(data, "column_names") or not hasattr(data, "__len__"):
            raise UserError(
                f"data.data: expected a datasets.Dataset or DatasetDict, or its folder, found {type(data).__name__}; "
                "give one that is not streamed"
            )
        columns = {task: label.column for task, label in self.labels.items()}
        keys = {"image": self.image, **{f"labels.{task}": column for task, column in columns.items()}}
        for key, column in keys.items():
            if column not in data.column_names:
                raise UserError(
                    f"data.{key}: expected a column of {split} ({', '.join(data.column_names)}), found `{column}`"
                )
            label = None if key == "image" else self.labels[key.removeprefix("labels.")]
            classes = getattr(getattr(data.features[column], "feature", None), "names", None)
            if label is not None and label.kind.content == "numbers" and classes:
                raise UserError(
                    f"data.{key}: expected numbers, found lists of class numbers in `{column}` (ClassLabel); map each "
                    f"to a list of {len(classes)} numbers, 1 for the classes that it has and 0 for the others"
                )
            if getattr(data.features[column], "dtype", None) in ("string", "large_string"):
                remedy = "save what it names" if key == "image" else f'number it: class_encode_column("{column}")'
                raise UserError(
                    f"data.{key}: expected a column of pictures, numbers or arrays, found text in `{column}`; {remedy}"
                )
        return Rows(data, self.image, columns)


class _RowItems(Items):
    def stamp(self, index: int) -> str | None:
        """Of the fingerprint that `datasets` gave the rows, the index, and the files of tables and pictures."""
        stamp: str | None = self.dataset.stamp(index)
        return stamp


def _load(folder: Path) -> Any:
    try:
        from datasets import load_from_disk
    except ImportError as error:
        raise UserError(
            "data.data: expected the package `datasets` to read a folder of Hugging Face, found none; pip install "
            "datasets"
        ) from error
    try:
        return load_from_disk(str(folder))
    except Exception as error:  # of datasets, pyarrow and json
        raise UserError(
            f"data.data: expected a folder that `save_to_disk` wrote, found {type(error).__name__} in {folder}: "
            f"{one_line(error, 120)}; write it again"
        ) from error
