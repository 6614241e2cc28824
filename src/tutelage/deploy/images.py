"""Whatever holds an image becomes float32 [3, H, W] in 0..1, by the data's contract for images (docs/data.md)."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from torch import Tensor

from tutelage.errors import UserError

Image = str | Path | PillowImage.Image | npt.NDArray[Any] | Tensor


def as_image(image: Image) -> Tensor:
    """The image of a file, a picture of Pillow, an array [H, W, 3] or [H, W], or a tensor [3, H, W]: bytes or floats.

    Grey becomes three equal channels; a palette its colours; transparency is left out, and a file's note on how to turn
    it is not read, in all of which this is what training reads.

    Raises:
        ValueError: It is none of these, or holds floats outside 0..1.
    """
    where = "image"
    if isinstance(image, str | Path):
        where = str(image)
        image = _read(Path(image))
    if isinstance(image, PillowImage.Image):
        image = _pixels(image, where)
    if isinstance(image, np.ndarray):
        image = torch.from_numpy(np.array(_channels_first(image, where), order="C"))
    if not isinstance(image, Tensor):
        raise UserError(
            f"{where}: expected a file, a picture of Pillow, an array [H, W, 3] or a tensor [3, H, W], found "
            f"{type(image).__name__}"
        )
    if image.ndim != 3 or image.shape[0] != 3 or image.numel() == 0:
        raise UserError(f"{where}: expected an RGB image [3, H, W], found a tensor {list(image.shape)}")
    return check(image, where)


def check(images: Tensor, where: str = "images") -> Tensor:
    """Images in float32 of 0..1, from bytes or from floats that are in 0..1.

    Raises:
        ValueError: They are neither.
    """
    if images.dtype == torch.uint8:
        return images.float() / 255
    if not images.is_floating_point():
        raise UserError(f"{where}: expected bytes (uint8) or floats in 0..1, found {images.dtype}; convert it")
    images = images.float()
    if not bool(((images >= 0) & (images <= 1)).all()):
        low, high = float(images.min()), float(images.max())
        raise UserError(f"{where}: expected floats in 0..1 (or bytes), found {low:g} to {high:g}; divide them")
    return images


def _read(path: Path) -> PillowImage.Image | npt.NDArray[Any]:
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:  # np.load takes archives and pickles for arrays, too
                array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            return array
        with PillowImage.open(path) as picture:
            picture.load()
            return picture
    except Exception as error:  # numpy and Pillow name their errors by what the bytes look like; all mean the same here
        problem = str(error).strip().split("\n")[0] or type(error).__name__
        raise UserError(f"{path}: expected a readable picture or .npy file, found {problem}; give another") from error


def _pixels(picture: PillowImage.Image, where: str) -> npt.NDArray[Any]:
    if picture.mode.startswith(("I", "F")):
        raise UserError(f"{where}: expected 8 bits a channel, found Pillow's mode {picture.mode}; save it as RGB")
    return np.asarray(picture.convert("RGB"))


def _channels_first(array: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    array = np.repeat(array[..., None], 3, 2) if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype.kind not in "uf":
        raise UserError(
            f"{where}: expected an RGB image [H, W, 3] of bytes or floats, found an array {list(array.shape)} of "
            f"{array.dtype}"
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False).transpose(2, 0, 1)
