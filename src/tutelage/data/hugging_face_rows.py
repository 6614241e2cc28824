"""The rows of a dataset of Hugging Face's `datasets`, as they are stored."""

from collections.abc import Iterable
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.data.fingerprint import stamp_of_files
from tutelage.pictures import open_picture
from tutelage.reading import check_regular


class Rows:
    """Rows in the form that `FromDataset` takes; columns that are not needed are not decoded.

    Pictures are opened here, unless the object has a format or a column a mode: once `datasets` has decoded them,
    nothing tells which numbers are in the file. Lists get the type of their column.
    """

    __qualname__ = "_Rows"  # as fingerprints of earlier runs have it

    def __init__(self, data: Any, image: str, columns: dict[str, str]) -> None:
        self.data = data.select_columns([*dict.fromkeys([image, *columns.values()])])
        self.image, self.columns = image, columns
        self._plain = self.data
        self._pictures: set[str] = set()
        if self.data.format["type"] is None:
            self._pictures = {name for name in self._picture_columns() if self.data.features[name].mode is None}
            self._plain = _not_decoded(self.data, self._pictures)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = {name: self._value(name, value) for name, value in self._plain[index].items()}
        return {"image": row[self.image], "labels": {task: row[column] for task, column in self.columns.items()}}

    def _value(self, name: str, value: Any) -> Any:
        feature = self.data.features[name]
        if name in self._pictures and value is not None:
            if value["bytes"] is not None:
                return open_picture(BytesIO(value["bytes"]))
            path = Path(value["path"])
            check_regular(path)
            return open_picture(BytesIO(path.read_bytes())) if path.is_file() else feature.decode_example(value)
        return _typed(value, feature) if isinstance(value, list) else value

    def _picture_columns(self) -> list[str]:
        from datasets import Image

        return [name for name, feature in self.data.features.items() if isinstance(feature, Image)]

    def stamp(self, index: int) -> str | None:
        """See `Samples.stamp`."""
        fingerprint = getattr(self.data, "_fingerprint", None)  # public by name only in the cache files of `datasets`
        if fingerprint is None:
            return None
        cells = self._undecoded[index].values() if self._undecoded is not None else []
        paths = [cell["path"] for cell in cells if cell is not None and cell["bytes"] is None]
        return stamp_of_files(((path, Path(path)) for path in paths), fingerprint, self._tables, index)

    @cached_property
    def _tables(self) -> str | None:
        """The stamp of the files that the rows were opened from: once, since what is opened stays as it is."""
        paths = [Path(table["filename"]) for table in self.data.cache_files]
        return stamp_of_files((path.name, path) for path in paths)

    @cached_property
    def _undecoded(self) -> Any:
        """The columns of pictures, which may lie in files, as {"bytes": ..., "path": ...}; None: there are none."""
        pictures = self._picture_columns()
        return _not_decoded(self.data.select_columns(pictures), pictures) if pictures else None


def _not_decoded(data: Any, pictures: Iterable[str]) -> Any:
    """The data with cells {"bytes": ..., "path": ...} in place of pictures."""
    from datasets import Image

    for name in pictures:
        data = data.cast_column(name, Image(decode=False))
    return data


def _typed(value: list[Any], feature: Any) -> Any:
    """A list as an array of the type of its column, nan for a null; as it is where that does not fit."""
    while hasattr(feature, "feature"):
        feature = feature.feature
    for kind in (str(getattr(feature, "dtype", "")), "float64"):
        try:
            if np.dtype(kind).kind in "biuf":
                return np.array(value, kind)
        except (TypeError, ValueError):  # no type of numbers, a null among whole numbers, or rows that differ in length
            continue
    return value
