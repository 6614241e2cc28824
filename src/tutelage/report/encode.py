"""Pictures as bytes and as addresses in a page."""

import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from tutelage.types import Picture

_WIDEST = 640  # pixels
_NARROWEST = 48
_LOSSY: dict[str, Any] = {"quality": 88}
_EXACT: dict[str, Any] = {"lossless": True, "quality": 60}  # of webp; here `quality` is the effort


@dataclass(frozen=True, eq=False)  # each is itself: pictures have no single answer to ==
class Drawing:
    """A picture, and whether it is a photograph, whose small errors nobody sees."""

    picture: Picture
    photograph: bool = False

    def encode(self, widest: int, form: Literal["webp", "png"] = "webp") -> bytes:
        """The picture as a file of at most that many pixels' width: photographs lossy, the rest exact."""
        image = Image.fromarray(np.ascontiguousarray(self.picture))
        if image.width > widest:
            size = (widest, max(1, round(image.height * widest / image.width)))
            image = image.resize(size, Image.Resampling.LANCZOS if self.photograph else Image.Resampling.NEAREST)
        buffer = io.BytesIO()
        options = {"optimize": True} if form == "png" else _LOSSY if self.photograph else _EXACT
        image.save(buffer, form, **options)
        return buffer.getvalue()


def address(drawing: Drawing) -> str:
    """A picture as the `src` of an image."""
    return addresses([drawing], 10**9)[0]


def addresses(drawings: Sequence[Drawing], budget: int) -> list[str]:
    """Pictures as the `src` of images, narrow enough that all of them take at most about `budget` bytes."""
    widest = min(_WIDEST, max((drawing.picture.shape[1] for drawing in drawings), default=_WIDEST))
    while True:
        texts = [f"data:image/webp;base64,{b64encode(d.encode(widest)).decode()}" for d in drawings]
        size = sum(map(len, texts))
        if size <= budget or widest <= _NARROWEST:
            return texts
        widest = max(_NARROWEST, int(widest * max(0.3, 0.95 * (budget / size) ** 0.5)))
