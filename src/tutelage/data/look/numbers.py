"""What texts of numbers, or arrays of few numbers, seem to hold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.data.files import read_numbers
from tutelage.data.look.found import Guess
from tutelage.pictures import Array

_BOX = 5  # numbers of a box in a text of YOLO: class, centre, width and height, these four as parts of the image


def read_texts(files: Sequence[Path]) -> list[Array]:
    """The numbers of texts; none of an empty one where the others hold boxes, since an image may have no box.

    Raises:
        UserError: a file holds something else.
    """
    empty = [path for path in files if path.is_file() and not path.stat().st_size]
    arrays: list[Array] = [np.asarray(read_numbers(path)) for path in files if path not in empty]
    if empty and not _are_boxes(arrays):
        read_numbers(empty[0])  # says what is expected
    return arrays


def guess_numbers(arrays: Sequence[Array]) -> Guess:
    """The guess for one array of numbers per image."""
    if _are_boxes(arrays):
        return Guess(words="boxes (lines of a class and four numbers from 0 to 1), which no task of tutelage learns")
    widths = {x.size for x in arrays}
    values = np.concatenate([x.reshape(-1).astype(np.float64) for x in arrays])
    known = values[np.isfinite(values)]
    whole = len(known) == len(values) and bool((known == np.trunc(known)).all() and (known >= -1).all())
    if widths == {1} and whole:
        classes = int(known.max()) + 1
        return Guess(
            "tutelage.data.ClassLabel", {}, "tutelage.tasks.Classification", {"classes": max(2, classes)},
            f"one whole number per image, {int(known.min())} to {int(known.max())}: a class",
        )  # fmt: skip
    if len(widths) > 1:
        words = (
            f"numbers, from {min(widths)} to {max(widths)} per image, as boxes have; no task of tutelage learns them"
        )
        return Guess(words=words)
    table = values.reshape(len(arrays), -1)
    args: dict[str, Any] = {"outputs": table.shape[1]}
    if np.isfinite(table).any(0).all():
        with np.errstate(all="ignore"):
            mean, std = np.nanmean(table, 0), np.nanstd(table, 0)
        if np.isfinite(mean).all() and (std > 0).all():
            args |= {"mean": _short(mean), "std": _short(std)}
    words = f"{table.shape[1]} numbers per image" if table.shape[1] > 1 else "one number per image"
    return Guess("tutelage.data.NumbersLabel", {}, "tutelage.tasks.Regression", args, words)


def _are_boxes(arrays: Sequence[Array]) -> bool:
    """Whether all numbers are lines of a class number and four parts of an image's width and height."""
    if not arrays or any(x.size % _BOX or not x.size for x in arrays):
        return False
    lines = np.concatenate([x.reshape(-1, _BOX) for x in arrays]).astype(np.float64)
    classes, parts = lines[:, 0], lines[:, 1:]
    return bool((classes == np.trunc(classes)).all() and (classes >= 0).all() and ((parts >= 0) & (parts <= 1)).all())


def _short(values: Array) -> list[float]:
    return [float(f"{x:.4g}") for x in values]
