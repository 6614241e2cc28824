"""What tasks of the whole image share: one raw output per image, and pictures that are words."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from tutelage.errors import printable
from tutelage.types import Colour, Picture

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_WIDTH, _ROW, _MARGIN = 288, 40, 8  # pixels; the report shows half the size
_LARGEST, _SMALLEST = 30, 14  # of the letters
BLACK: Colour = (0, 0, 0)


def of_image(raw: Tensor) -> Tensor:
    """The raw output of every image in fp32, [B, C].

    The output of a network for dense tasks, [B, C, h, w], is averaged over its positions, so that any network fits.
    """
    return raw.float().flatten(2).mean(2) if raw.ndim > 2 else raw.float()


def words(rows: Sequence[tuple[str, Colour]]) -> Picture:
    """Lines of text on their own ground colours [40 * rows, 288, 3]; black on light grounds, white on dark ones.

    Long text is written smaller, and cut off where that does not suffice.
    """
    from PIL import Image, ImageDraw  # only pictures need them

    image = Image.new("RGB", (_WIDTH, _ROW * len(rows)))
    draw = ImageDraw.Draw(image)
    for index, (text, ground) in enumerate(rows):
        top, room, text = index * _ROW, _WIDTH - 2 * _MARGIN, printable(text)
        draw.rectangle((0, top, _WIDTH, top + _ROW - 1), fill=ground)
        size = next((s for s in range(_LARGEST, _SMALLEST, -2) if font(s).getlength(text) <= room), _SMALLEST)
        letters = font(size)
        if letters.getlength(text) > room:
            fits = next(n for n in range(len(text), -1, -1) if letters.getlength(text[:n] + "…") <= room)
            text = text[:fits] + "…"
        luminance = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
        fill = (0, 0, 0) if luminance > 128 else (255, 255, 255)
        draw.text((_WIDTH / 2, top + _ROW / 2), text, fill, letters, anchor="mm")
    picture: Picture = np.array(image)
    return picture


@cache
def font(size: int) -> "FreeTypeFont":
    """DejaVu Sans, which comes with matplotlib: Pillow's own font has no letters beyond ASCII."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)
