"""Files of images and labels: how they are listed, told apart and read; and the same of what is in memory."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage

from tutelage.errors import UserError

PICTURES = (".npy", ".png", ".jpg", ".jpeg")
TEXTS = (".npy", ".txt")  # of numbers for the whole image
_CONVERTED = ("1", "LA", "La", "PA", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")  # modes of Pillow


def first_line(error: Exception) -> str:
    """What a library says of a mistake, without the lines below, or else what it calls it."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def read_array(path: Path, indices: bool = False) -> tuple[npt.NDArray[Any], bool]:
    """The array of a .npy or picture file, [H, W] or [H, W, C], and whether it came from a picture.

    Args:
        path: The file.
        indices: Take a palette's indices, which are the numbers of classes, and not its colours.

    Raises:
        ValueError: The file is damaged or not what its name says.
    """
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as array:  # np.load takes archives and pickles for arrays, too
                return _numbers(np.lib.format.read_array(array, allow_pickle=False)), False
        with PillowImage.open(path) as file:
            return _numbers(_pixels(file, indices)), True
    except Exception as error:  # numpy and Pillow name their errors by what the bytes look like; all mean the same here
        raise UserError(
            f"{path}: expected a readable {path.suffix} file, found {first_line(error)}; replace or remove it"
        ) from error


def as_array(value: object, indices: bool = False) -> tuple[npt.NDArray[Any], bool]:
    """What is in memory as `read_array` gives a file: a picture of Pillow, or a tensor, array, number or list.

    Of three dimensions, one of 1 or 3 entries is taken for the channels: in a tensor rather the first, in an array
    rather the last.

    Raises:
        ValueError: It is none of these, or holds no numbers.
    """
    if isinstance(value, PillowImage.Image):
        return _numbers(_pixels(value, indices)), True
    if isinstance(value, torch.Tensor):
        tensor = value.detach().cpu()
        array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    elif isinstance(value, np.ndarray | np.generic | int | float | list | tuple):
        array = np.asarray(value)  # a ValueError where rows differ in length
    else:
        raise UserError(f"{type(value).__name__} {value!r:.40}")
    if array.ndim == 3:
        first, last = array.shape[0] in (1, 3), array.shape[2] in (1, 3)
        if first and (isinstance(value, torch.Tensor) or not last):
            array = array.transpose(1, 2, 0)
    return _numbers(array), False


def _pixels(picture: PillowImage.Image, indices: bool) -> npt.NDArray[Any]:
    if picture.mode in _CONVERTED or (picture.mode == "P" and not indices):
        picture = picture.convert("L" if picture.mode in ("1", "LA", "La") else "RGB")
    return np.asarray(picture)


def read_numbers(path: Path) -> list[float]:
    """The numbers of a text file, separated by white space or commas; `nan` is one.

    Raises:
        ValueError: The file holds something else, or nothing.
    """
    try:
        numbers = [float(word) for word in path.read_text().replace(",", " ").split()]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected a text of numbers, found {str(error)[:80]}; mend or remove it") from error
    if not numbers:
        raise UserError(f"{path}: expected a text of numbers, found none; mend or remove it")
    return numbers


def _numbers(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`array` in the machine's byte order, if it holds numbers."""
    if array.dtype.kind not in "biuf" or array.size == 0:
        raise UserError(f"an array {list(array.shape)} of {array.dtype}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def list_files(folder: Path, suffixes: Collection[str]) -> dict[str, Path]:
    """Stem -> file with one of `suffixes`, numbers in their own order: 2 before 10.

    Raises:
        ValueError: Two files have the same stem.
    """
    if not folder.is_dir():
        return {}
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: _natural(path.name)):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in files:
            raise UserError(f"{path}: expected one file with this stem, found {files[path.stem].name}, too; remove one")
        files[path.stem] = path
    return files


def parts(path: Path, size: int = 4096) -> bytes:
    """The beginning, the middle and the end of a file: all of a set would take minutes to read."""
    length = path.stat().st_size
    with path.open("rb") as file:
        found = []
        for start in (0, (length - size) // 2, length - size):
            file.seek(max(0, start))
            found.append(file.read(size))
    return b"".join(found)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
