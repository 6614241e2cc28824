"""Datasets of Hugging Face's `datasets` as a source."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.data.base import Split
from tutelage.data.files import first_line
from tutelage.data.items import Items, ItemSource
from tutelage.data.modalities import Modality, Size
from tutelage.errors import UserError


@dataclass
class Column:
    """Which column holds a task's labels and what they are.

    Args:
        column: its name.
        kind: how its values are decoded, resized and augmented.
    """

    column: str
    kind: Modality


class HuggingFace(ItemSource):
    """A `datasets.Dataset` or `DatasetDict`, or the folder that its `save_to_disk` wrote.

    Columns hold pictures, numbers (`ClassLabel` is one), arrays or sequences, which are decoded as those of
    `FromDataset`; None is no label. Nothing is downloaded: `load_dataset` and `save_to_disk` do that beforehand.

    Args:
        data: the object, or the folder.
        labels: task -> column and kind.
        image: the images' column.
        train: the split of a DatasetDict to train on.
        val: the split to evaluate on, once; none holds out a part of `train`.
        name: of the source.
        size: height and width of everything; none leaves samples as they are.
        holdout: part of `train` that is held out where there is no `val`.
        holdout_seed: which part.
        cache: keep decoded and resized samples in memory.
        version: as `FromDataset` has it.

    Raises:
        ValueError: An argument is out of range; `check` and `split` raise where the data do not fit them, or where
            `datasets` is not installed.
    """

    def __init__(
        self,
        data: Any,
        labels: dict[str, Column],
        image: str = "image",
        train: str = "train",
        val: str | None = None,
        name: str = "hugging-face",
        size: Size | None = None,
        holdout: float = 0.2,
        holdout_seed: int = 0,
        cache: bool = False,
        version: str | None = None,
    ) -> None:
        modalities = {task: label.kind for task, label in labels.items()}
        super().__init__(name, modalities, size, holdout, holdout_seed, cache, version)
        self.data, self.labels, self.image, self.train, self.val = data, labels, image, train, val

    def datasets(self) -> dict[Split, Items]:
        """The rows of `train` and, where it is named, `val`."""
        data = _load(Path(self.data)) if isinstance(self.data, str | Path) else self.data
        names: dict[Split, str] = {"train": self.train} if self.val is None else {"train": self.train, "val": self.val}
        found: dict[Split, Items] = {}
        for split, name in names.items():
            rows = self._rows(data, split, name)
            found[split] = Items(rows, self.modalities, self.size, f"data.{split}")
        return found

    def _rows(self, data: Any, split: Split, name: str) -> "_Rows":
        if isinstance(data, Mapping):
            if name not in data:
                known = ", ".join(map(str, data))
                raise UserError(f"data.{split}: expected one of the splits {known}; found `{name}`")
            data = data[name]
        elif split == "val":
            raise UserError(
                f"data.val: expected a DatasetDict with a split `{name}`, found one {type(data).__name__}; leave val "
                "out to hold out a part of it"
            )
        if not hasattr(data, "column_names") or not hasattr(data, "__len__"):
            raise UserError(
                f"data.data: expected a datasets.Dataset or DatasetDict, or its folder, found {type(data).__name__}; "
                "give one that is not streamed"
            )
        columns = {task: label.column for task, label in self.labels.items()}
        named = {"image": self.image, **{f"labels.{task}": column for task, column in columns.items()}}
        for key, column in named.items():
            if column not in data.column_names:
                raise UserError(
                    f"data.{key}: expected a column of {split} ({', '.join(data.column_names)}), found `{column}`"
                )
            if getattr(data.features[column], "dtype", None) in ("string", "large_string"):
                remedy = "save what it names" if key == "image" else f'number it: class_encode_column("{column}")'
                raise UserError(
                    f"data.{key}: expected a column of pictures, numbers or arrays, found text in `{column}`; {remedy}"
                )
        return _Rows(data, self.image, columns)


class _Rows:
    """Rows as `FromDataset` takes them; the columns that nobody asked for are not decoded."""

    def __init__(self, data: Any, image: str, columns: dict[str, str]) -> None:
        self.data = data.select_columns([*dict.fromkeys([image, *columns.values()])])
        self.image, self.columns = image, columns

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.data[index]
        return {"image": row[self.image], "labels": {task: row[column] for task, column in self.columns.items()}}


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
            f"{first_line(error):.120}; write it again"
        ) from error
