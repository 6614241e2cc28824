"""Arrays of images and classes: reading, validation and resizing."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tutelage.errors import UserError, one_line
from tutelage.images import Size, in_unit_range, resize_image

# Images [N, 1 or 3, H, W] of bytes or of float32 in 0..1, and classes [N], int64.
ImagesAndClasses = tuple[Tensor, Tensor]
_MOST = 2**30  # values of an array of a published file; the largest, SVHN's images, has 225 millions
_CHUNK = 4096  # images that are resized, and therefore floats, at the same time


def resized(images: Tensor, size: Size) -> Tensor:
    """Images [N, C, H, W] at another size, by the rule of images; bytes stay bytes."""
    if images.shape[2:] == size:
        return images
    return torch.cat([_resized(images[i : i + _CHUNK], size) for i in range(0, len(images), _CHUNK)])


def _resized(images: Tensor, size: Size) -> Tensor:
    floats = resize_image(in_unit_range(images, "images"), size)
    return (floats * 255).round().to(torch.uint8) if images.dtype == torch.uint8 else floats


def at_least(least: int, arguments: Mapping[str, int]) -> None:
    """Raise a one-line UserError for the first argument of `data` that is below `least`."""
    for name, value in arguments.items():
        if value < least:
            raise UserError(f"data.{name}: expected at least {least}, found {value}")


def require_library(library: str | None) -> None:
    """Raise a one-line UserError if a module of the extra `data` is not installed."""
    if library is not None and find_spec(library) is None:
        raise UserError(f"data: expected the library {library}, found none; pip install 'tutelage[data]'")


def fetch(name: str, root: Path, **arguments: object) -> None:
    """Download a part of torchvision's data set `name` into `root` and verify its digest.

    Raises:
        UserError: torchvision is not installed, or the download failed.
    """
    require_library("torchvision")
    from torchvision import datasets  # seconds to import

    try:
        getattr(datasets, name)(str(root), download=True, **arguments)
    except Exception as error:  # the network, a mirror's archive or the disk may fail
        raise UserError(
            f"data.download: expected torchvision to fetch {name} into {root}, found {one_line(error)}; try again, "
            "or copy the files there by hand"
        ) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn any error of a library about a file into a one-line UserError."""
    try:
        yield
    except Exception as error:  # libraries name their errors by what the bytes look like; all mean the same here
        raise UserError(
            f"{path}: expected a readable {path.suffix or 'idx'} file, found {one_line(error)}; download it again"
        ) from error


def pick(file: Any, images: str, classes: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Two arrays of an opened file; to be called within `reading`, which completes the message."""
    for key in (images, classes):
        if key not in file:
            raise ValueError(f"no `{key}` in it")
    return np.asarray(file[images]), np.asarray(file[classes])


def check_published(name: str, shape: Sequence[int]) -> None:
    """Raise a ValueError for an array that is too large to be read: few bytes may be unpacked to any number."""
    if math.prod(shape) > _MOST:
        raise ValueError(f"`{name}` {list(shape)} where at most {_MOST} values belong")


def as_tensors(
    images: npt.NDArray[Any], classes: npt.NDArray[Any], shape: tuple[int, int, int], path: Path
) -> ImagesAndClasses:
    """Images [N, *shape], bytes or numbers in 0..1, and classes [N] in 0..9, as tensors.

    Raises:
        UserError: The arrays are something else; the message begins with `path`.
    """
    with reading(path):
        if images.shape != (len(classes), *shape) or classes.ndim != 1 or classes.dtype.kind not in "iu":
            raise ValueError(
                f"images {list(images.shape)} and {classes.dtype} classes {list(classes.shape)} where "
                f"[N, {', '.join(map(str, shape))}] and whole [N] belong"
            )
        if not bool(((classes >= 0) & (classes <= 9)).all()):
            raise ValueError(f"classes from {classes.min()} to {classes.max()} where 0 to 9 belong")
        pixels = torch.from_numpy(np.ascontiguousarray(images, None if images.dtype == np.uint8 else np.float32))
    pixels = pixels if pixels.dtype == torch.uint8 else in_unit_range(pixels, str(path))
    return pixels, torch.from_numpy(classes.astype(np.int64))
