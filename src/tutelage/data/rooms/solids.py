"""What a scene is made of: solids, their classes, textures and colours."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

CLASSES = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects",
    "painting", "sofa", "table", "tv", "wall", "window",
)  # fmt: skip
BED, BOOKS, CEILING, CHAIR, FLOOR, FURNITURE, OBJECTS, PAINTING, SOFA, TABLE, TV, WALL, WINDOW = range(13)
# NYU-v2's 4 classes (Silberman et al., ECCV 2012), and which of them each of the 13 is part of.
COARSE = ("floor", "structure", "furniture", "props")
_PART_OF = {FLOOR: 0, CEILING: 1, WALL: 1, WINDOW: 1, BOOKS: 3, OBJECTS: 3, PAINTING: 3, TV: 3}
TO_COARSE = tuple(_PART_OF.get(c, 2) for c in range(len(CLASSES)))
# Textures, see `render`.
PLAIN, STRIPES, CHECKER, WOOD, SPINES, CANVAS, PANE, SCREEN = range(8)

Array = npt.NDArray[np.float32]
Rng = np.random.Generator
Colour = tuple[float, float, float]


@dataclass
class Solid:
    """A box or a standing cylinder; `half` are half extents (a cylinder's radius, half height, radius)."""

    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    label: int
    texture: int = PLAIN
    colour: Colour = (0.5, 0.5, 0.5)
    second: Colour = (0.5, 0.5, 0.5)
    frequency: float = 8.0
    shape: Literal["box", "cylinder"] = "box"
    yaw: float = 0.0  # about y


def _colour(rng: Rng, low: float, high: float, spread: float) -> Colour:
    grey = rng.uniform(low, high)
    r, g, b = np.clip(grey + rng.uniform(-spread, spread, 3), 0.03, 0.97)
    return float(r), float(g), float(b)


def pale(rng: Rng) -> Colour:
    """A wall's paint."""
    return _colour(rng, 0.65, 0.88, 0.08)


def bright(rng: Rng) -> Colour:
    """Nearly white."""
    return _colour(rng, 0.82, 0.94, 0.03)


def dull(rng: Rng) -> Colour:
    """Neither bright nor colourful."""
    return _colour(rng, 0.25, 0.6, 0.12)


def vivid(rng: Rng) -> Colour:
    """Any colour."""
    return _colour(rng, 0.25, 0.65, 0.35)


def wooden(rng: Rng) -> Colour:
    """A brown, light or dark."""
    tone = rng.uniform(0.3, 1.1)
    r, g, b = np.clip(np.array([0.62, 0.43, 0.27]) * tone + rng.normal(0, 0.03, 3), 0.05, 0.95)
    return float(r), float(g), float(b)


def near(rng: Rng, colour: Colour, spread: float) -> Colour:
    """A colour like `colour`."""
    r, g, b = np.clip(np.array(colour) + rng.uniform(-spread, spread, 3), 0.03, 0.97)
    return float(r), float(g), float(b)
