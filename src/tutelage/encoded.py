"""How the values of a picture are encoded in its file, where Pillow's mode does not tell and its values differ."""

from dataclasses import dataclass
from typing import Any

from PIL import Image as PillowImage
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    SAMPLEFORMAT,
    TiffImageFile,
)

_WHITE_IS_ZERO, _PLANES, _SIGNED = 0, 2, 2  # values of TIFF's tags


@dataclass(frozen=True)
class Encoded:
    """What is known of a file until its pixels are read.

    Attributes:
        sixteen: Channels of 16 bits become 8.
        planes: They lie in separate planes, of which Pillow takes every byte for a pixel.
        white: The value of white in a grey picture, where that is neither 255 nor 65535; None elsewhere.
        inverted: 0 is white. Pillow inverts up to 8 bits, and leaves 16 and floats as they are.
        signed: Bytes are -128 to 127, which Pillow takes for 0 to 255.
    """

    sixteen: bool = False
    planes: bool = False
    white: int | None = None
    inverted: bool = False
    signed: bool = False


def encoded(picture: PillowImage.Image) -> Encoded:
    """How an opened picture is encoded, whose pixels are not read yet."""
    if isinstance(picture, TiffImageFile):
        return _tiff(picture)
    tiles: Any = picture.tile if hasattr(picture, "tile") else ()
    if not tiles:
        return Encoded()
    codec, *_, arguments = tiles[0]
    raw, *rest = arguments if isinstance(arguments, tuple) else (arguments,)
    if codec in ("ppm", "ppm_plain") and picture.mode in ("L", "I"):
        return Encoded(white=rest[0])
    # "BGR;16" are 16 bits in all: 5, 6 and 5.
    return Encoded(
        sixteen=str(raw).endswith(";16B") and picture.mode in ("RGB", "RGBA"), white={"L;2": 3, "L;4": 15}.get(str(raw))
    )


def _tiff(picture: TiffImageFile) -> Encoded:
    tags = picture.tag_v2
    bits = max(tags.get(BITSPERSAMPLE, (1,)))
    grey = len(picture.getbands()) == 1
    sixteen = bits > 8 and not grey
    return Encoded(
        sixteen=sixteen,
        planes=sixteen and tags.get(PLANAR_CONFIGURATION) == _PLANES,
        white=2**bits - 1 if picture.mode == "L" and 1 < bits < 8 else None,
        inverted=picture.mode != "P" and grey and tags.get(PHOTOMETRIC_INTERPRETATION, 0) == _WHITE_IS_ZERO,
        signed=bits == 8 and grey and _SIGNED in tags.get(SAMPLEFORMAT, ()),
    )
