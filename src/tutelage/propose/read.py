"""Every picture and array is opened once: which cannot be read, and how large the others are."""

import os
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tutelage.errors import UserError, one_line
from tutelage.images import Size, read_array
from tutelage.pictures import check_pixels, open_picture, upright_size
from tutelage.reading import check_regular

_DECODED = 4000  # files up to which all are decoded; of more, only the beginnings are read


def read_sizes(files: Collection[Path], advance: Callable[[], None]) -> tuple[Mapping[Path, Size], Mapping[Path, str]]:
    """Height and width of the files that can be read, and what is wrong with the others.

    Args:
        files: Pictures and arrays.
        advance: Called after each file.
    """
    read = _decoded if len(files) <= _DECODED else _header

    def look(path: Path) -> Size | str:
        try:
            return read(path)
        except UserError as error:
            return str(error).removeprefix(f"{path}: ")
        finally:
            advance()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(files, pool.map(look, files), strict=True))  # in the order of the files, not of the threads
    sizes = {path: size for path, size in found.items() if not isinstance(size, str)}
    return sizes, {path: wrong for path, wrong in found.items() if isinstance(wrong, str)}


def _decoded(path: Path) -> Size:
    array, _ = read_array(path, "classes")
    return _size(array.shape)


def _header(path: Path) -> Size:
    try:
        if path.suffix.lower() == ".npy":
            check_regular(path)
            return _size(np.lib.format.open_memmap(path, mode="r").shape)
        with open_picture(path) as picture:
            check_pixels(*picture.size, str(path))
            return upright_size(picture)
    except UserError:
        raise
    except Exception as error:  # numpy and Pillow name their errors by what the bytes look like
        raise UserError(f"{path}: expected a readable file, found {one_line(error)}") from error


def _size(shape: tuple[int, ...]) -> Size:
    return (shape[0], shape[1]) if len(shape) > 1 else (1, shape[0] if shape else 1)
