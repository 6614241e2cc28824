"""Pictures and arrays, decoded and validated in one place, so that training and prediction read the same values."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import ExifTags, ImageOps
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn.functional import interpolate

from tutelage.errors import UserError, one_line
from tutelage.files import check_regular

Array = npt.NDArray[Any]
Size = tuple[int, int]  # height, width
Image = str | Path | PillowImage.Image | Array | Tensor
# What values are read for: colours; class numbers, where a palette stands for its indices and grey values are as they
# were written, be white 255 or not; masks, where a palette does, too; others, with grey values as they were written.
Use = Literal["image", "classes", "mask", "values"]

_VARIABLE = "TUTELAGE_MAX_PIXELS"
_MAX_PIXELS = 2**30 // 12  # where Pillow begins to warn: a quarter of a GiB
# What is read: no format whose reader starts another program, as that of EPS does.
FORMATS = ("BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
# By these suffixes files of a folder are taken for pictures.
PICTURES = (
    *(".npy", ".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".gif", ".jp2", ".pgm", ".ppm", ".tga"),
)

# Pillow's mode -> the mode whose values are read. Transparency is left out.
READ_AS = {
    "1": "L",  # 1 bit: 0 and 255, or 0 and 1 where they are class numbers
    "L": "L",
    "LA": "L",
    "P": "RGB",  # the palette's colours; its indices, where they are class numbers
    "PA": "RGB",
    "RGB": "RGB",
    "RGBA": "RGB",
    "RGBa": "RGB",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "HSV": "RGB",
    "LAB": "RGB",
    "F": "F",  # floats; those of an image are in 0..1
    "I": "I",  # 32 bits, and 16 below: for labels only
    "I;16": "I;16",
    "I;16L": "I;16L",
    "I;16B": "I;16B",
    "I;16N": "I;16N",
}


def read_array(path: Path, use: Use) -> tuple[Array, str]:
    """The values of a .npy or picture file, [H, W] or [H, W, C], and the picture's mode; "" for a .npy.

    Raises:
        UserError: The file is damaged, not what its name says, or a picture in a mode that is not read for this use.
    """
    try:
        if path.suffix.lower() == ".npy":
            check_regular(path)
            with path.open("rb") as file:  # np.load would also take archives and pickles
                return _native(np.lib.format.read_array(file, allow_pickle=False)), ""
        with open_picture(path) as picture:
            return _native(_pixels(picture, use, str(path))), picture.mode
    except UserError:
        raise
    except Exception as error:  # numpy and Pillow name their errors by what the bytes look like; all mean the same here
        raise UserError(
            f"{path}: expected a readable {path.suffix or 'picture'} file, found {one_line(error)}; "
            "replace or remove it"
        ) from error


def as_array(value: object, use: Use, where: str) -> tuple[Array, str]:
    """As `read_array`, of a value in memory: a picture of Pillow, a tensor, an array, a number or a list.

    Of three dimensions, one with 1 or 3 entries is taken for the channels; where both the first and the last could be
    the channels, a tensor has them first and an array last.

    Raises:
        UserError: It is none of these, holds no numbers, or is a picture in a mode that is not read for this use.
    """
    try:
        if isinstance(value, PillowImage.Image):
            return _native(_pixels(value, use, where)), value.mode
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


def flat(array: Array) -> Array:
    """[H, W, 1] as [H, W]; anything else as it is."""
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def describe(array: Array, mode: str) -> str:
    """The shape of an array, and the mode of the picture that it was read from, for messages."""
    return f"an array {list(array.shape)}" + (f" of a picture in mode {mode}" if mode else "")


def max_pixels() -> int:
    """The number of pixels that a picture may have: what TUTELAGE_MAX_PIXELS says, or where Pillow begins to warn.

    Raises:
        UserError: The variable holds no whole number.
    """
    text = os.environ.get(_VARIABLE, "")
    if not text:
        return _MAX_PIXELS
    if not (text.isascii() and text.isdigit() and int(text)):
        raise UserError(f"{_VARIABLE}: expected a whole number of at least 1, found `{text}`; correct it")
    return int(text)


def check_pixels(width: int, height: int, where: str) -> None:
    """Raise a UserError if a picture of this size has more pixels than are read."""
    if width * height > max_pixels():
        raise _too_large(where, f"{width} x {height} = {width * height}")


def _too_large(where: str, found: str) -> UserError:
    return UserError(
        f"{where}: expected at most {max_pixels()} pixels, found {found}; make it smaller, or raise the limit with the "
        f"environment variable {_VARIABLE}"
    )


def open_picture(path: Path) -> PillowImage.Image:
    """A picture whose size is known and whose pixels are not read yet, of one of `FORMATS`.

    Raises:
        UserError: Pillow refuses its size, or it is no file.
        OSError: It cannot be read; Pillow may raise anything else, too.
    """
    if os.environ.get(_VARIABLE):
        PillowImage.MAX_IMAGE_PIXELS = None  # the user's limit takes the place of Pillow's
    try:
        check_regular(path)
        return PillowImage.open(path, formats=FORMATS)
    except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning) as error:
        pixels = re.search(r"\d+", str(error))
        raise _too_large(str(path), f"{pixels[0]} of them" if pixels else one_line(error)) from None


def _pixels(picture: PillowImage.Image, use: Use, where: str) -> Array:
    """The values of a picture, turned as its EXIF orientation says."""
    check_pixels(*picture.size, where)
    # Cameras put a preview behind the photograph (MPO).
    if getattr(picture, "is_animated", False) and picture.format != "MPO":
        raise UserError(
            f"{where}: expected one picture, found a {picture.format} of several frames; save one of them as a picture"
        )
    written = _written(picture)
    picture.load()
    mode = picture.mode
    read_as = "P" if mode == "P" and use in ("classes", "mask") else READ_AS.get(mode)
    if read_as is None:
        raise UserError(f"{where}: expected one of Pillow's modes {', '.join(READ_AS)}, found {mode}; save it as RGB")
    if use == "image" and (read_as.startswith("I") or written.sixteen):
        raise UserError(
            f"{where}: expected 8 bits a channel, found {'32' if mode == 'I' else '16'} bits (Pillow's mode {mode}), "
            "of unknown brightness; map its values to 0..255 and save 8 bits, or write floats in 0..1 into a .npy"
        )
    if mode == "1" and use in ("classes", "mask"):
        return np.asarray(_upright(picture)).astype(np.uint8)
    picture = _upright(picture)
    array = np.asarray(picture if mode == read_as else picture.convert(read_as))
    if use in ("classes", "values") and written.white is not None:
        full = 65535 if mode == "I" else 255  # to which Pillow has stretched them
        return np.round(array * (written.white / full)).astype(array.dtype)
    return array


@dataclass(frozen=True)
class _Written:
    """What Pillow's mode does not tell of a file, known until its pixels are read.

    Attributes:
        sixteen: Channels of 16 bits become 8.
        white: The value of white in a grey picture, where that is neither 255 nor 65535; None elsewhere.
    """

    sixteen: bool = False
    white: int | None = None


def _written(picture: PillowImage.Image) -> _Written:
    tiles: Any = getattr(picture, "tile", ())
    if not tiles:
        return _Written()
    codec, *_, arguments = tiles[0]
    raw, *rest = arguments if isinstance(arguments, tuple) else (arguments,)
    if codec in ("ppm", "ppm_plain") and picture.mode in ("L", "I"):
        return _Written(white=rest[0])
    sixteen = ";16" in str(raw) and picture.mode in ("RGB", "RGBA")
    return _Written(sixteen, {"L;2": 3, "L;4": 15}.get(str(raw)))


def orientation(picture: PillowImage.Image) -> int:
    """The EXIF orientation of a picture, 1 to 8; 1, as stored, where it has none."""
    try:
        found = int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data, whose errors Pillow names by what the bytes look like, say nothing
        return 1
    return found if 1 <= found <= 8 else 1


def is_turned(path: Path) -> bool:
    """Whether the image in a file is turned or mirrored when it is read, since its EXIF orientation says so."""
    try:
        with open_picture(path) as picture:
            return orientation(picture) != 1
    except Exception:  # no picture of Pillow's, or a damaged one, of which decoding it says more
        return False


def _upright(picture: PillowImage.Image) -> PillowImage.Image:
    return picture if orientation(picture) == 1 else ImageOps.exif_transpose(picture)


def _native(array: Array) -> Array:
    """An array of numbers in the machine's byte order; a ValueError that says what else it is."""
    if array.dtype.kind not in "biuf" or array.size == 0:
        raise ValueError(f"an array {list(array.shape)} of {array.dtype}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
