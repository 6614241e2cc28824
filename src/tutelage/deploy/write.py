"""The prediction of one image as files, and as words."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal, get_args

import numpy as np
from PIL import Image
from torch import Tensor

from tutelage.errors import printable
from tutelage.files import write_atomically
from tutelage.types import Encoded, Picture, Task

Kind = Literal["picture", "overlay", "label", "array", "sheet"]
KINDS: tuple[Kind, ...] = get_args(Kind)
USUAL: tuple[Kind, ...] = ("picture", "sheet")  # what is written where nobody asks for more
# What is written for every task -> the end of its name; the sheet is one for many images.
SUFFIXES: dict[Kind, str] = {"picture": ".png", "overlay": ".overlay.jpg", "label": ".label.png", "array": ".npy"}


def write_prediction(
    tasks: Mapping[str, Task],
    prediction: Mapping[str, Tensor],
    image: Picture,
    drawn: Mapping[str, Picture],
    stem: Path,
    kinds: Mapping[Kind, str],
) -> list[Path]:
    """Write the prediction of an image, and say what was written.

    Args:
        tasks: Name -> task.
        prediction: Task -> activated prediction of the image.
        image: The image.
        drawn: Task -> what the prediction looks like; only pictures and overlays need it.
        stem: What the names of the files begin with, with their folder.
        kinds: What to write -> how its name ends after the task's. A task without a value per pixel has no overlay and
            no label.
    """
    files: list[Path] = []
    for t, value in prediction.items():
        for kind, suffix in kinds.items():
            write = _content(kind, tasks[t], value, image, drawn.get(t))
            if write is not None:
                files.append(Path(f"{stem}.{t}{suffix}"))
                write_atomically(files[-1], write)
    return files


def _content(
    kind: Kind, task: Task, value: Tensor, image: Picture, drawn: Picture | None
) -> Callable[[IO[bytes]], object] | None:
    """What writes a file; None where the task has none of this kind."""
    if kind == "array":
        return lambda file: np.save(file, value.numpy(), allow_pickle=False)
    if kind == "label":
        encoded = task.encode(value)
        return None if encoded is None else _png(encoded)
    assert drawn is not None, "pictures and overlays are drawn before they are written"
    if kind == "overlay":
        if not task.dense:
            return None
        mixed = Image.blend(Image.fromarray(image), Image.fromarray(np.ascontiguousarray(drawn)), 0.5)
        return lambda file: mixed.save(file, "JPEG", quality=92, subsampling=0)
    return _png(drawn)


def _png(pixels: Encoded) -> Callable[[IO[bytes]], object]:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return lambda file: picture.save(file, format="PNG")


def as_picture(image: Tensor) -> Picture:
    """An image [3, H, W] in 0..1 as bytes [H, W, 3]."""
    picture: Picture = (image * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    return picture


def describe(task: Task, value: Tensor) -> str:
    """The value of a task of the whole image as text: the name of a class, or numbers with their names and unit."""
    names: Sequence[str] = getattr(task, "names", None) or ()
    if value.ndim == 0 and not value.is_floating_point():
        index = int(value)
        return printable(names[index]) if index < len(names) else str(index)
    numbers, unit = value.reshape(-1).tolist(), getattr(task, "unit", "")
    labels = names if len(names) == len(numbers) else [""] * len(numbers)
    return printable(", ".join(f"{name} {x:.4g} {unit}".strip() for name, x in zip(labels, numbers, strict=True)))
