"""Images in files, arrays and tensors, validated in one place, so that training and prediction read the same values."""

import math
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn.functional import interpolate

from tutelage.errors import UserError, one_line
from tutelage.pictures import Array, Use, check_values, open_picture, pixels
from tutelage.reading import check_regular

Size = tuple[int, int]  # height, width
Image = str | Path | PillowImage.Image | Array | Tensor
_GRID = 255 * 256  # steps from 0 to 1: every byte is one of them


def read_array(path: Path, use: Use) -> tuple[Array, str]:
    """The values of a .npy or picture file, [H, W] or [H, W, C], and the picture's mode; "" for a .npy.

    Raises:
        UserError: The file is damaged, not what its name says, or a picture in a mode that is not read for this use.
    """
    try:
        if path.suffix.lower() == ".npy":
            check_regular(path)
            with path.open("rb") as file:  # np.load would also take archives and pickles
                shape = array_shape(file)
                if math.prod(shape) > path.stat().st_size:
                    raise ValueError(f"the shape {list(shape)} in a file of {path.stat().st_size} bytes")
                check_values(shape, str(path))
                file.seek(0)
                return _native(np.lib.format.read_array(file, allow_pickle=False)), ""
        with open_picture(path) as picture:
            return _native(pixels(picture, use, str(path))), picture.mode
    except UserError:
        raise
    except Exception as error:  # numpy and Pillow name their errors by what the bytes look like; all mean the same here
        raise UserError(
            f"{path}: expected a readable {path.suffix or 'picture'} file, found {one_line(error)}; "
            "replace or remove it"
        ) from error


def array_shape(file: IO[bytes]) -> tuple[int, ...]:
    """The shape of the array in an opened .npy file, of which the beginning is read."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)[0]
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)[0]
    raise ValueError(f"version {version[0]} of the format, which only tables of named columns have")


def as_array(value: object, use: Use, where: str) -> tuple[Array, str]:
    """As `read_array`, of a value in memory: a picture of Pillow, a tensor, an array, a number or a list.

    Of three dimensions, one with 1 or 3 entries is taken for the channels; where both the first and the last could be
    the channels, a tensor has them first and an array last.

    Raises:
        UserError: It is none of these, holds no numbers, or is a picture in a mode that is not read for this use.
    """
    try:
        if isinstance(value, PillowImage.Image):
            return _native(pixels(value, use, where)), value.mode
        if isinstance(value, Tensor):
            tensor = value.detach().cpu()
            array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        elif isinstance(value, np.ndarray | np.generic | int | float | list | tuple):
            array = np.asarray(value)  # a ValueError where rows differ in length
        else:
            raise ValueError(f"{type(value).__name__} {value!r:.40}")
        if array.ndim == 3:
            first, last = array.shape[0] in (1, 3), array.shape[2] in (1, 3)
            if first and (isinstance(value, Tensor) or not last):
                array = array.transpose(1, 2, 0)
        return _native(array), ""
    except UserError:
        raise
    except Exception as error:  # numpy's and Pillow's, too
        raise UserError(
            f"{where}: expected a picture or an array of numbers, found {one_line(error)}; correct it"
        ) from error


def read_rgb(path: Path) -> Tensor:
    """The image in a file: float32 [3, H, W] in 0..1.

    Raises:
        UserError: See `read_array` and `rgb`.
    """
    array, mode = read_array(path, "image")
    return rgb(array, str(path), mode)


def as_image(image: Image) -> Tensor:
    """The image in a file, a picture of Pillow, or an array or tensor of bytes or floats: [3, H, W], [H, W, 3] or grey.

    Returns:
        float32 [3, H, W] in 0..1, with the values that training reads from the same image.

    Raises:
        UserError: It is none of these, or has values outside 0..1.
    """
    if isinstance(image, str | Path):
        where, (array, mode) = str(image), read_array(Path(image), "image")
    else:
        where, (array, mode) = "image", as_array(image, "image", "image")
    return rgb(array, where, mode)


def rgb(array: Array, where: str, mode: str = "") -> Tensor:
    """float32 [3, H, W] in 0..1 of colours [H, W, 3] or of grey values [H, W] or [H, W, 1], bytes or floats in 0..1.

    Raises:
        UserError: The array has another shape or type, or values outside 0..1; the message begins with `where`.
    """
    if array.dtype != np.uint8 and array.dtype.kind != "f":  # whole numbers in 0..1 are more often a mask than an image
        raise UserError(
            f"{where}: expected bytes (uint8) or floats in 0..1, found {array.dtype}; write 0..255 as uint8, or divide "
            "by the value of white"
        )
    array = flat(array)
    array = np.repeat(array[..., None], 3, 2) if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] != 3:
        raise UserError(f"{where}: expected an RGB image [H, W, 3], found {describe(array, mode)}; save it as RGB")
    # A copy in memory of its own: whoever changes the tensor does not change the dataset.
    return in_unit_range(torch.from_numpy(np.array(array.transpose(2, 0, 1), order="C")), where)


def check_images(images: Tensor, where: str = "images") -> Tensor:
    """A tensor of bytes, or of floats in 0..1, as float32 in 0..1.

    Raises:
        UserError: It holds anything else.
    """
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise UserError(f"{where}: expected bytes (uint8) or floats in 0..1, found {images.dtype}; convert it")
    return in_unit_range(images, where)


def in_unit_range(images: Tensor, where: str) -> Tensor:
    """Bytes / 255, or numbers that are in 0..1 already, as float32.

    Raises:
        UserError: A number is outside 0..1.
    """
    if images.dtype == torch.uint8:
        return images.float() / 255
    images = images.float()
    if bool(((images >= 0) & (images <= 1)).all()):
        return images
    finite = images.isfinite()
    if not bool(finite.all()):
        wrong = images[~finite]
        raise UserError(
            f"{where}: expected an image in 0..1 without gaps, found {float(wrong[0]):g} at {len(wrong)} of "
            f"{images.numel()} values; write colours there, or leave the image out"
        )
    low, high = float(images.min()), float(images.max())
    remedy = "divide them by 255" if low >= 0 and 1.5 < high <= 255 else "map them to 0..1"
    raise UserError(f"{where}: expected an image in 0..1 (or bytes), found values from {low:g} to {high:g}; {remedy}")


def resize_image(image: Tensor, size: Size) -> Tensor:
    """Images [C, H, W] or [B, C, H, W] in 0..1 at another size, by antialiased bilinear interpolation."""
    if image.shape[-2:] == size:
        return image
    batch = image if image.ndim == 4 else image[None]
    resized = interpolate(batch, size, mode="bilinear", antialias=True).clamp(0, 1)
    return resized if image.ndim == 4 else resized[0]


def resize_on_grid(images: Tensor, size: Size) -> Tensor:
    """`resize_image`, and `on_grid` where that changes the size."""
    return images if images.shape[2:] == size else on_grid(resize_image(images, size))


def on_grid(images: Tensor) -> Tensor:
    """Values in 0..1, rounded to multiples of 1/65280: 256 steps between two bytes.

    Resizing leaves differences of rounding in areas of one colour, other ones in every program, and a network that
    takes the place of a maximum, such as SegNet, would follow them: its predictions there would be those of no other.
    """
    return (images * _GRID).round() / _GRID


def flat(array: Array) -> Array:
    """[H, W, 1] as [H, W]; anything else as it is."""
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def describe(array: Array, mode: str) -> str:
    """The shape of an array, and the mode of the picture that it was read from, for messages."""
    return f"an array {list(array.shape)}" + (f" of a picture in mode {mode}" if mode else "")


def _native(array: Array) -> Array:
    """An array of numbers in the machine's byte order; a ValueError that says what else it is."""
    if array.dtype.kind not in "biuf" or array.size == 0:
        raise ValueError(f"an array {list(array.shape)} of {array.dtype}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
