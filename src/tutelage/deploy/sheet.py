"""A contact sheet: small pictures of images, each with every prediction beside it, below what the colours mean."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tutelage.errors import printable
from tutelage.files import write_atomically
from tutelage.tasks.whole_image import font
from tutelage.types import Picture, Task

_CELL, _GAP, _LINE, _SWATCH = 240, 8, 18, 12  # pixels
_IMAGES = 30  # of one sheet
_WIDEST = 2400  # pixels, where several images with their predictions stand beside each other
_WHITE, _BLACK, _GREY = (255, 255, 255), (20, 20, 20), (110, 110, 110)


class ContactSheets:
    """Writes `contact-sheet.jpg` into a folder, and `contact-sheet-2.jpg` and so on after every 30 images.

    Args:
        tasks: Name -> task, for headings and legends.
        folder: The folder.
        overwrite: Replace existing sheets; otherwise the next free numbers are taken.
    """

    def __init__(self, tasks: Mapping[str, Task], folder: Path, overwrite: bool = False) -> None:
        self.tasks, self.folder, self.overwrite = tasks, folder, overwrite
        self.strips: list[Image.Image] = []  # of an image, with its predictions
        self.files: list[Path] = []
        self._number = 0

    def add(self, name: str, image: Picture, drawn: Mapping[str, Picture]) -> None:
        """Add an image with what its predictions look like, by task."""
        height, width = image.shape[:2]
        cells = [_shrunk(image, Image.Resampling.LANCZOS)]
        cells += [_shrunk(drawn[t], Image.Resampling.NEAREST) for t in self.tasks]
        strip = Image.new("RGB", (self._width, max(cell.height for cell in cells) + _LINE + _GAP), _WHITE)
        for column, cell in enumerate(cells):
            strip.paste(cell, (_left(column), 0))
        text = _fitted(f"{name}  {width} x {height}", self._width - 2 * _GAP)
        ImageDraw.Draw(strip).text((_GAP, strip.height - _GAP - _LINE + 2), text, _GREY, font(12))
        self.strips.append(strip)
        if len(self.strips) == _IMAGES:
            self.flush()

    def flush(self) -> None:
        """Write the images that are not written yet."""
        if not self.strips:
            return
        across = max(1, min(len(self.strips), _WIDEST // self._width))
        rows = [_beside(self.strips[i : i + across]) for i in range(0, len(self.strips), across)]
        width = across * self._width
        parts = [*self._legends(width), _beside([self._headings()] * across), *rows]
        sheet = Image.new("RGB", (width, sum(part.height for part in parts) + 2 * _GAP), _WHITE)
        top = _GAP
        for part in parts:
            sheet.paste(part, (0, top))
            top += part.height
        file = self._next_file()
        write_atomically(file, lambda stream: sheet.save(stream, "JPEG", quality=92, subsampling=0))
        self.files.append(file)
        self.strips = []

    @property
    def _width(self) -> int:
        return _left(len(self.tasks) + 1)

    def _next_file(self) -> Path:
        while True:
            self._number += 1
            suffix = "" if self._number == 1 else f"-{self._number}"
            file = self.folder / f"contact-sheet{suffix}.jpg"
            if self.overwrite or not file.exists():
                return file

    def _headings(self) -> Image.Image:
        row = Image.new("RGB", (self._width, _LINE + _GAP), _WHITE)
        for column, heading in enumerate(("image", *self.tasks)):
            ImageDraw.Draw(row).text((_left(column), 0), _fitted(heading, _CELL, 14), _BLACK, font(14))
        return row

    def _legends(self, width: int) -> list[Image.Image]:
        """What the colours mean, of every task with a value per pixel; the others are words."""
        legends = {t: task.legend() for t, task in self.tasks.items() if task.dense}
        return [_legend(t, legend, width) for t, legend in legends.items() if legend]


def _beside(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures side by side."""
    whole = Image.new("RGB", (sum(x.width for x in pictures), max(x.height for x in pictures)), _WHITE)
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width
    return whole


def _legend(task: str, entries: Sequence[tuple[str, tuple[int, int, int]]], width: int) -> Image.Image:
    """The colours of a task with their meanings, in as many lines as they need."""
    places, left, top = list[tuple[int, int]](), _GAP + _CELL // 2, 0
    texts = [_fitted(text, width // 3) for text, _ in entries]
    for text in texts:
        needed = _SWATCH + _GAP // 2 + int(font(12).getlength(text)) + 2 * _GAP
        if left + needed > width and left > _GAP + _CELL // 2:
            left, top = _GAP + _CELL // 2, top + _LINE
        places.append((left, top))
        left += needed
    image = Image.new("RGB", (width, top + _LINE + _GAP), _WHITE)
    draw = ImageDraw.Draw(image)
    draw.text((_GAP, 0), _fitted(task, _CELL // 2 - _GAP), _BLACK, font(12))
    for (x, y), text, (_, colour) in zip(places, texts, entries, strict=True):
        draw.rectangle((x, y + 2, x + _SWATCH - 1, y + 1 + _SWATCH), colour, _GREY)
        draw.text((x + _SWATCH + _GAP // 2, y), text, _BLACK, font(12))
    return image


def _left(column: int) -> int:
    return _GAP + column * (_CELL + _GAP)


def _shrunk(picture: Picture, resampling: Image.Resampling) -> Image.Image:
    """A picture that fits into a cell; small ones are enlarged to its width."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    scale = min(_CELL / image.width, _CELL / image.height)
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), resampling)


def _fitted(text: str, width: int, size: int = 12) -> str:
    """The text, or its end after `…`, in this width: the ends of paths differ."""
    text = printable(text)  # names of files may have line breaks, and bytes that are no letters
    if font(size).getlength(text) <= width:
        return text
    return next((f"…{text[i:]}" for i in range(1, len(text)) if font(size).getlength(f"…{text[i:]}") <= width), "…")
