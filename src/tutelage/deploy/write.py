"""Predictions of image files, written as pictures and arrays."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image
from torch import Tensor

from tutelage.deploy.predictor import Predictor
from tutelage.errors import UserError, printable
from tutelage.files import write_atomically
from tutelage.types import Task


def predict_files(
    predictor: Predictor,
    images: Sequence[Path],
    out: Path,
    overwrite: bool = False,
    note: Callable[[str], None] = print,
) -> None:
    """Write NAME.TASK.png, a picture, and NAME.TASK.npy, the activated prediction, for every image and task.

    Args:
        predictor: The predictor.
        images: Image files with different names.
        out: The folder to write to.
        overwrite: Replace existing files.
        note: Receives one line per file that is written; for tasks of the whole image the line has the value, too.

    Raises:
        ValueError: Two images have one name, or a file exists already: nothing was written. Or an image cannot be read:
            the files of the images before it stay.
    """
    first: dict[str, Path] = {}
    for path in images:
        if path.stem in first:
            raise UserError(
                f"{path}: expected names that differ, found {first[path.stem]}, too; write them to two folders"
            )
        first[path.stem] = path
        for t in predictor.tasks:
            for file in (out / f"{path.stem}.{t}.png", out / f"{path.stem}.{t}.npy"):
                if file.exists() and not overwrite:
                    raise UserError(f"{file}: expected no such file yet, found one; give another --out, or --overwrite")
    for path in images:
        for t, value in predictor.predict(path).items():
            task, file = predictor.tasks[t], out / f"{path.stem}.{t}"
            text = "" if t in predictor.dense else f"  {printable(describe(task, value))}"
            write_atomically(Path(f"{file}.png"), _png(task, value))
            note(f"{file}.png{text}")
            write_atomically(Path(f"{file}.npy"), _npy(value))
            note(f"{file}.npy")


def describe(task: Task, value: Tensor) -> str:
    """The value of a task of the whole image as text: the name of a class, or numbers with their names and unit."""
    names: Sequence[str] = getattr(task, "names", None) or ()
    if value.ndim == 0 and not value.is_floating_point():
        index = int(value)
        return names[index] if index < len(names) else str(index)
    numbers, unit = value.reshape(-1).tolist(), getattr(task, "unit", "")
    labels = names if len(names) == len(numbers) else [""] * len(numbers)
    return ", ".join(f"{name} {x:.4g} {unit}".strip() for name, x in zip(labels, numbers, strict=True))


def _png(task: Task, value: Tensor) -> Callable[[IO[bytes]], object]:
    picture = Image.fromarray(np.ascontiguousarray(task.draw(value)))
    return lambda file: picture.save(file, format="PNG")


def _npy(value: Tensor) -> Callable[[IO[bytes]], object]:
    return lambda file: np.save(file, value.numpy(), allow_pickle=False)
