"""Tiny images and labels in folders of any layout."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.generic]
HEIGHT, WIDTH = 32, 40


def _areas(i: int) -> Array:
    """Three classes in bands that move with i."""
    return np.broadcast_to(((np.arange(WIDTH) + i) // 14 % 3).astype(np.uint8), (HEIGHT, WIDTH)).copy()


def _photo(i: int) -> Array:
    return np.random.default_rng(i).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def _normals(i: int) -> Array:
    n = np.stack([_areas(i) * 0.2, np.zeros((HEIGHT, WIDTH)), np.ones((HEIGHT, WIDTH))], -1)
    return ((n / np.linalg.norm(n, axis=-1, keepdims=True) + 1) * 127.5).round().astype(np.uint8)


_COLOURS = np.array([[0, 0, 0], [200, 0, 0], [0, 0, 90]], np.uint8)
KINDS: Mapping[str, Callable[[int], Array]] = {
    "photo": _photo,
    "grey": lambda i: _photo(i)[..., 0],
    "classes": _areas,
    "ignored": lambda i: np.where(np.arange(HEIGHT)[:, None] < 3, 255, _areas(i)).astype(np.uint8),
    "mask": lambda i: ((_areas(i) > 1) * 255).astype(np.uint8),
    "levels": lambda i: _areas(i) * 100,
    "colours": lambda i: _COLOURS[_areas(i)],
    "depth": lambda i: (1500 + _areas(i) * np.uint16(900) + np.arange(HEIGHT)[:, None] * 37).astype(np.uint16),
    "ids": lambda i: _areas(i) * np.uint16(1000) + np.uint16(300 + i),
    "instances": lambda i: _areas(i) * np.uint16(1000) + np.uint16(7),
    "normals": _normals,
    "small": lambda i: _areas(i)[::2, ::2],
}


def write(root: Path, kinds: Mapping[str, str], numbers: Iterable[int] = range(8)) -> Path:
    """Write the files of a layout.

    Args:
        root: The folder.
        kinds: Name of a file with `#` in place of its number, and what it holds.
        numbers: Those of the files.
    """
    for name, kind in kinds.items():
        for i in numbers:
            path = root / name.replace("#", str(i))
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "class":
                path.write_text(f"{i % 3}\n")
            elif kind == "numbers":
                path.write_text(f"{i} {i / 2}\n")
            elif kind == "boxes":
                path.write_text("1 0.5 0.5 0.2 0.2\n" * (i % 3))
            elif path.suffix == ".npy":
                np.save(path, KINDS[kind](i))
            else:
                Image.fromarray(KINDS[kind](i)).save(path)
    return root
