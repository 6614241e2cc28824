"""Picture files, as Pillow opens them: what is read, how large it may be, which way up it is, and its values."""

import math
import os
import re
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, ImageOps
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from tutelage.encoded import Encoded, encoded
from tutelage.errors import UserError, one_line
from tutelage.reading import check_regular

Array = npt.NDArray[Any]
# What values are read for: colours; class numbers, where a palette stands for its indices and grey values are as they
# were written, be white 255 or not; masks, where a palette does, too; codes, vectors and others, with values as they
# were written, though 16 bits of a colour may become 8 in the last two. Vectors are not turned.
Use = Literal["image", "classes", "mask", "codes", "vectors", "values"]

_VARIABLE = "TUTELAGE_MAX_PIXELS"
_MAX_PIXELS = 2**30 // 12  # where Pillow begins to warn: a quarter of a GiB
# What is read: no format whose reader starts another program, as that of EPS does.
FORMATS = ("BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
# By these suffixes files of a folder are taken for pictures.
PICTURES = (
    *(".npy", ".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".gif", ".jp2", ".pgm", ".ppm", ".tga"),
)

_TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange height and width
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


def check_values(shape: tuple[int, ...], where: str) -> None:
    """Raise a UserError if an array of this shape has more values than a picture of four channels may have."""
    if math.prod(shape) > 4 * max_pixels():
        raise _too_large(where, f"an array {list(shape)}")


def _too_large(where: str, found: str) -> UserError:
    return UserError(
        f"{where}: expected at most {max_pixels()} pixels, found {found}; make it smaller, or raise the limit with the "
        f"environment variable {_VARIABLE}"
    )


def open_picture(path: Path | BytesIO) -> PillowImage.Image:
    """A picture whose size is known and whose pixels are not read yet, of one of `FORMATS`.

    Raises:
        UserError: Pillow refuses its size, or it is no file.
        OSError: It cannot be read; Pillow may raise anything else, too.
    """
    if os.environ.get(_VARIABLE):
        PillowImage.MAX_IMAGE_PIXELS = None  # the user's limit takes the place of Pillow's
    try:
        if isinstance(path, Path):
            check_regular(path)
        return PillowImage.open(path, formats=FORMATS)
    except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning) as error:
        pixels = re.search(r"\d+", str(error))
        where = str(path) if isinstance(path, Path) else "picture"
        raise _too_large(where, f"{pixels[0]} of them" if pixels else one_line(error)) from None


def pixels(picture: PillowImage.Image, use: Use, where: str) -> Array:
    """The values of an opened picture, turned as its EXIF orientation says: [H, W] or [H, W, 3].

    Raises:
        UserError: It has too many pixels or several frames, or a mode that is not read for this use.
        OSError: It cannot be read; Pillow may raise anything else, too.
    """
    check_pixels(*picture.size, where)
    # Cameras put a preview behind the photograph (MPO).
    if getattr(picture, "is_animated", False) and picture.format != "MPO":
        raise UserError(
            f"{where}: expected one picture, found a {picture.format} of several frames; save one of them as a picture"
        )
    if use == "vectors" and (turned := orientation(picture)) != 1:
        raise UserError(
            f"{where}: expected a picture of vectors as it is stored, found one that its EXIF orientation {turned} "
            "turns or mirrors, which leaves the components as they are; save it upright, without that tag"
        )
    written = encoded(picture)
    _check_encoded(written, picture.mode, use, where)
    _load(picture)
    mode = picture.mode
    read_as = "P" if mode == "P" and use in ("classes", "mask") else READ_AS.get(mode)
    if read_as is None:
        raise UserError(f"{where}: expected one of Pillow's modes {', '.join(READ_AS)}, found {mode}; save it as RGB")
    if (use == "image" and read_as.startswith("I")) or (use in ("image", "codes") and written.sixteen):
        raise UserError(
            f"{where}: expected 8 bits a channel, found {'32' if mode == 'I' else '16'} bits (Pillow's mode {mode}), "
            "of unknown brightness; map its values to 0..255 and save 8 bits, or write floats in 0..1 into a .npy"
        )
    if mode == "1" and use in ("classes", "mask"):
        return np.asarray(_upright(picture)).astype(np.uint8)
    picture = _upright(picture)
    array = np.asarray(picture if mode == read_as else picture.convert(read_as))
    if use not in ("image", "mask") and written.white is not None:
        full = 65535 if mode == "I" else 255  # to which Pillow has stretched them
        return np.round(array * (written.white / full)).astype(array.dtype)
    return array.view(np.int8) if written.signed else array


def _check_encoded(written: Encoded, mode: str, use: Use, where: str) -> None:
    """Raise where Pillow would read other values than those in the file."""
    changed = mode == "F" if use == "image" else mode in ("1", "L")
    if written.inverted and changed:
        raise UserError(
            f"{where}: expected 0 to be black, found a TIFF in which 0 is white or nothing says so "
            "(PhotometricInterpretation 0), which not all programs invert; save it with black at 0, or as PNG"
        )
    if written.planes:
        raise UserError(
            f"{where}: expected 8 bits a channel, or the channels of a pixel beside each other, found 16 bits in "
            "separate planes; save it with PlanarConfiguration 1, or as PNG"
        )


def _load(picture: PillowImage.Image) -> None:
    """Read the pixels."""
    if not isinstance(picture, TiffImageFile):
        picture.load()
        return
    name, picture.filename = picture.filename, ""  # of a name Pillow maps the file, with width and height exchanged
    try:
        picture.load()
    finally:
        picture.filename = name


def upright_size(picture: PillowImage.Image) -> tuple[int, int]:
    """Height and width of an opened picture when it has been turned as its EXIF orientation says."""
    width, height = picture.size
    if isinstance(picture, TiffImageFile):  # of which some versions of Pillow have turned the size already
        width, height = picture.tag_v2[IMAGEWIDTH], picture.tag_v2[IMAGELENGTH]
    return (width, height) if orientation(picture) in _TURNED else (height, width)


def orientation(picture: PillowImage.Image) -> int:
    """The EXIF orientation of a picture, 1 to 8; 1, as stored, where it has none."""
    try:
        if isinstance(picture, PngImageFile) and not _may_turn(picture):
            return 1
        found = int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data, whose errors Pillow names by what the bytes look like, say nothing
        return 1
    return found if 1 <= found <= 8 else 1


def _may_turn(picture: PngImageFile) -> bool:
    """Whether a PNG has EXIF or XMP data somewhere: Pillow, which looks for them, decodes the pixels before."""
    file = picture.fp
    if file is None:  # it is decoded
        return True
    place = file.tell()
    try:
        file.seek(8)  # of the signature
        while len(head := file.read(8)) == 8:
            length, kind = int.from_bytes(head[:4]), head[4:]
            start = file.read(min(length, 80)) if kind in (b"tEXt", b"zTXt", b"iTXt") else b""
            if kind == b"eXIf" or re.search(rb"exif|xmp", start, re.IGNORECASE):
                return True
            file.seek(length - len(start) + 4, os.SEEK_CUR)
        return False
    finally:
        file.seek(place)


def is_turned(path: Path) -> bool:
    """Whether the image in a file is turned or mirrored when it is read, since its EXIF orientation says so."""
    try:
        with open_picture(path) as picture:
            return orientation(picture) != 1
    except Exception:  # no picture of Pillow's, or a damaged one, of which decoding it says more
        return False


def _upright(picture: PillowImage.Image) -> PillowImage.Image:
    return picture if orientation(picture) == 1 else ImageOps.exif_transpose(picture)
