"""Arrays of images and classes: how they are read from files, checked and resized."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tutelage.data.modalities import Rgb, Size
from tutelage.errors import UserError, one_line

Read = tuple[Tensor, Tensor]  # images [N, 1 or 3, H, W] of bytes or of float32 in 0..1, and classes [N], int64
_CHUNK = 4096  # images resized at a time, so that not all of them are floats at once


def resized(images: Tensor, size: Size) -> Tensor:
    """[N, C, H, W] at another size, by the rule of images; bytes stay bytes."""
    if images.shape[2:] == size:
        return images
    return torch.cat([_resized(images[i : i + _CHUNK], size) for i in range(0, len(images), _CHUNK)])


def _resized(images: Tensor, size: Size) -> Tensor:
    bytes_ = images.dtype == torch.uint8
    planes = (images.float() / 255 if bytes_ else images).flatten(0, 1)  # as many channels of one image
    planes = Rgb().resize(planes, size)
    planes = (planes * 255).round().to(torch.uint8) if bytes_ else planes
    return planes.view(*images.shape[:2], *size)


def at_least(least: int, arguments: Mapping[str, int]) -> None:
    """Raise a one-line ValueError for the first argument of `data` that is less."""
    for name, value in arguments.items():
        if value < least:
            raise UserError(f"data.{name}: expected at least {least}, found {value}")


def need(library: str | None) -> None:
    """Raise a one-line ValueError where a module of the extra `data` is not installed."""
    if library is not None and find_spec(library) is None:
        raise UserError(f"data: expected the library {library}, found none; pip install 'tutelage[data]'")


def fetch(name: str, root: Path, **arguments: object) -> None:
    """Have torchvision download a part of its data set `name` into `root` and check its digest.

    Raises:
        ValueError: torchvision is not installed, or could not.
    """
    need("torchvision")
    from torchvision import datasets  # seconds to import

    try:
        getattr(datasets, name)(str(root), download=True, **arguments)
    except Exception as error:  # of the network, of a mirror's archive, of the disk
        raise UserError(
            f"data.download: expected torchvision to fetch {name} into {root}, found {one_line(error)}; try again, "
            "or bring the files there by hand"
        ) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a library says of a file into one line."""
    try:
        yield
    except Exception as error:  # libraries name their errors by what the bytes look like; all mean the same here
        raise UserError(
            f"{path}: expected a readable {path.suffix or 'idx'} file, found {one_line(error)}; download it again"
        ) from error


def pick(file: Any, images: str, classes: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Two arrays of an opened file; for use within `reading`."""
    for key in (images, classes):
        if key not in file:
            raise UserError(f"no `{key}` in it")
    return np.asarray(file[images]), np.asarray(file[classes])


def as_read(images: npt.NDArray[Any], classes: npt.NDArray[Any], shape: tuple[int, int, int]) -> Read:
    """Arrays [N, *shape] of bytes or of numbers in 0..1, and [N] of 0..9, as tensors; for use within `reading`."""
    if images.shape != (len(classes), *shape) or classes.ndim != 1 or classes.dtype.kind not in "iu":
        raise UserError(
            f"images {list(images.shape)} and {classes.dtype} classes {list(classes.shape)} where "
            f"[N, {', '.join(map(str, shape))}] and whole [N] belong"
        )
    if images.dtype != np.uint8 and not (images.dtype.kind == "f" and bool(((images >= 0) & (images <= 1)).all())):
        raise UserError(f"images of {images.dtype} that are neither bytes nor numbers in 0..1")
    if not bool(((classes >= 0) & (classes <= 9)).all()):
        raise UserError(f"classes from {classes.min()} to {classes.max()} where 0 to 9 belong")
    images = images if images.dtype == np.uint8 else images.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(classes.astype(np.int64))
