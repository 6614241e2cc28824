"""How an image or a label is stored, found without decoding it: what the decoded tensor no longer tells."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from torch import Tensor

from tutelage.pictures import open_picture, orientation

_MODES = {
    "1": "1 bit",
    "L": "8-bit grey",
    "LA": "8-bit grey",
    "P": "8-bit palette",
    "PA": "8-bit palette",
    "F": "32-bit floats",
    "I": "32-bit grey",
    **dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N"), "16-bit grey"),
}
_NEVER_LOSSLESS = ("JPEG", "MPO")  # as Pillow names formats; MPO is what some phones write
_IN_TIFF = ("jpeg", "tiff_jpeg", "webp")  # as Pillow names compressions of TIFF that change values


@dataclass(frozen=True)
class Stored:
    """How one image or label is stored.

    Attributes:
        format: Pillow's name of a picture's format, such as "PNG"; "npy"; "text"; "" for a value in memory.
        values: Pillow's mode of a picture, or the type of an array; "" for text and lists.
        orientation: The EXIF orientation; 1 means as stored.
        lossy: The format changes values when it stores them, as JPEG does.
        picture: It is a picture, whose values have the kind's `scale`.
        palette: The colours of a picture's indices, red, green and blue in hexadecimal; it does not count where two
            ways of storing are compared.
    """

    format: str = ""
    values: str = ""
    orientation: int = 1
    lossy: bool = False
    picture: bool = False
    palette: str = field(default="", compare=False)

    @property
    def bits(self) -> int | None:
        """Bits of a grey picture's values, 1, 8, 16 or 32; None for colours, floats and anything else."""
        words = _MODES.get(self.values, "") if self.picture else ""
        return int(words.replace("-", " ").split()[0]) if words and "floats" not in words else None

    def __str__(self) -> str:
        """As in "PNG, 16-bit grey"."""
        words = _MODES.get(self.values, f"8-bit {self.values}") if self.picture else self.values
        turned = f"turned by EXIF {self.orientation}" if self.orientation != 1 else ""
        return ", ".join(word for word in (self.format, words, turned) if word) or "numbers"


def stored_in_file(path: Path) -> Stored | None:
    """How a file is stored; None where it cannot be read, of which decoding it says more."""
    try:
        if path.suffix.lower() == ".txt":
            return Stored("text")
        if path.suffix.lower() == ".npy":
            return Stored("npy", str(np.lib.format.open_memmap(path, mode="r").dtype))
        with open_picture(path) as picture:
            return _of_picture(picture, picture.format == "WEBP" and not _is_lossless_webp(path))
    except Exception:  # numpy and Pillow name their errors by what the bytes look like
        return None


def stored_as(value: object) -> Stored | None:
    """How an item of a dataset is stored: a `Path`, a picture of Pillow, a tensor, an array, or numbers."""
    if isinstance(value, Path):
        return stored_in_file(value)
    if isinstance(value, PillowImage.Image):
        return _of_picture(value, False)
    if isinstance(value, Tensor):
        return Stored(values=str(value.dtype).removeprefix("torch."))
    return Stored(values=str(value.dtype)) if isinstance(value, np.ndarray) else Stored()


def _of_picture(picture: PillowImage.Image, lossy: bool) -> Stored:
    lossy = lossy or picture.format in _NEVER_LOSSLESS or picture.info.get("compression") in _IN_TIFF
    palette = bytes(picture.getpalette() or ()).hex() if picture.mode in ("P", "PA") else ""
    return Stored(picture.format or "", picture.mode, orientation(picture), lossy, picture=True, palette=palette)


def _is_lossless_webp(path: Path) -> bool:
    """Whether the first image of a WebP file is stored without loss: its chunk is VP8L (RFC 9649)."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    lossless, lossy = head.find(b"VP8L"), head.find(b"VP8 ")
    return lossless >= 0 and (lossy < 0 or lossless < lossy)
