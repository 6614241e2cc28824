"""Classes that are drawn as colours, or as grey values far apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.data.look import Guess
from tutelage.errors import printable
from tutelage.images import flat, read_array
from tutelage.pictures import Array

_MOST = 64  # classes that are drawn so
_READ = 2000  # files, at even distances, whose values are collected
_SPARSE = 4  # times as many numbers as classes: these are no class numbers


def coded(files: Sequence[Path], look: Guess) -> Guess | None:
    """The guess for labels of few colours, or of few values that are no class numbers; None where they are neither."""
    grey = look.kind.endswith(".ClassesLabel")
    if not grey and (look.kind or look.is_image or any(x.lossy or x.format == "text" for x in look.stored)):
        return None
    values = _values(files, 1 if grey else 3)
    codes = [list(value) for value in values or () if not grey or value != (255,)]
    if values is None or len(codes) < 2 or (grey and len(codes) * _SPARSE > codes[-1][0] + 1):
        return None
    if min(map(min, codes)) < 0:  # -1 is no label: no picture's values
        return None
    args: dict[str, Any] = {"codes": codes}
    if grey and len(codes) < len(values):
        args["void"] = [[255]]
    what = f"{len(codes)} {'grey values' if grey else 'colours'} for as many classes"
    doubt = "classes are numbered in the order of their values in `codes`; move what means no label to `void`"
    task = ("tutelage.tasks.Segmentation", {"classes": len(codes)})
    words = f"{what}, {printable(', '.join(map(str, codes[:3])))}{', ...' if len(codes) > 3 else ''}"
    return Guess("tutelage.data.CodedLabel", args, *task, words, (doubt,), files=look.files, stored=look.stored)


def _values(files: Sequence[Path], channels: int) -> list[tuple[int, ...]] | None:
    """All values that occur, in order; None where there are too many, or of another number of channels."""
    step = max(1, len(files) // _READ)
    found: set[tuple[int, ...]] = set()
    for path in files[::step]:
        array: Array = flat(read_array(path, "values")[0])
        array = array[..., None] if array.ndim == 2 else array
        if array.ndim != 3 or array.shape[2] != channels or array.dtype.kind not in "ui":
            return None
        distinct = np.unique(array.reshape(-1, channels), axis=0)
        found |= {tuple(value) for value in distinct[: _MOST + 1].tolist()}
        if len(found) > _MOST:
            return None
    return sorted(found)
