"""Furniture: every piece as solids, with x along its width around 0, y up, and z from 0 (the wall) to its depth."""

from itertools import product
from typing import NamedTuple

from tutelage.data.rooms.solids import (
    BED,
    BOOKS,
    CHAIR,
    CHECKER,
    FURNITURE,
    OBJECTS,
    PLAIN,
    SCREEN,
    SOFA,
    SPINES,
    STRIPES,
    TABLE,
    TV,
    WOOD,
    Colour,
    Rng,
    Solid,
    bright,
    dull,
    near,
    pale,
    vivid,
    wooden,
)  # fmt: skip


class Piece(NamedTuple):
    """A piece of furniture and the box around it, in metres."""

    parts: list[Solid]
    width: float
    depth: float
    height: float


def bed(rng: Rng) -> Piece:
    """A bed with its head at the wall, with one pillow or two."""
    w, d = rng.uniform(1.0, 1.8), rng.uniform(1.9, 2.1)
    cover, frame = vivid(rng), wooden(rng)
    top = rng.uniform(0.4, 0.6)
    texture = int(rng.choice([PLAIN, STRIPES, CHECKER]))
    parts = [
        _box(0, 0, d / 2, w, 0.25, d, BED, WOOD, frame),
        _box(0, 0.25, d / 2, w * 0.98, top - 0.25, d * 0.97, BED, texture, cover, near(rng, cover, 0.2), 6),
        _box(0, 0.0, 0.03, w, top + rng.uniform(0.3, 0.6), 0.06, BED, WOOD, frame),
    ]
    pillows = (-0.25, 0.25) if w > 1.3 else (0.0,)
    parts += [_box(x * w, top, 0.35, 0.55, 0.12, 0.35, BED, PLAIN, bright(rng)) for x in pillows]
    return Piece(parts, w, d, 1.0)


def sofa(rng: Rng) -> Piece:
    """A sofa, perhaps with a cushion."""
    w, d = rng.uniform(1.3, 2.2), rng.uniform(0.75, 0.95)
    colour = vivid(rng) if rng.random() < 0.5 else dull(rng)
    texture, second = int(rng.choice([PLAIN, PLAIN, STRIPES])), near(rng, colour, 0.1)
    parts = [
        _box(0, 0.08, d / 2, w, 0.34, d, SOFA, texture, colour, second),
        _box(0, 0.42, 0.12, w, 0.42, 0.24, SOFA, texture, colour, second),
    ]
    parts += [_box(s * (w / 2 - 0.09), 0.42, d / 2, 0.18, 0.2, d, SOFA, texture, colour, second) for s in (-1, 1)]
    if rng.random() < 0.6:
        parts.append(_box(rng.uniform(-0.3, 0.3) * w, 0.42, 0.34, 0.4, 0.36, 0.14, OBJECTS, CHECKER, vivid(rng)))
    return Piece(parts, w, d, 0.85)


def shelf(rng: Rng) -> Piece:
    """A bookshelf, its boards full of books and things."""
    w, d, h = rng.uniform(0.7, 1.5), rng.uniform(0.25, 0.35), rng.uniform(1.1, 2.1)
    colour = wooden(rng)
    parts = [_box(0, 0, 0.02, w, h, 0.04, FURNITURE, WOOD, colour)]
    parts += [_box(s * (w / 2 - 0.015), 0, d / 2, 0.03, h, d, FURNITURE, WOOD, colour) for s in (-1, 1)]
    boards = int(rng.integers(3, 6))
    step = (h - 0.05) / boards
    for i in range(boards + 1):
        parts.append(_box(0, i * step, d / 2, w, 0.03, d, FURNITURE, WOOD, colour))
    for i in range(boards):
        if rng.random() < 0.75:  # a row of books, perhaps not a full one
            part = rng.uniform(0.5, 1.0)
            x = (1 - part) / 2 * rng.choice([-1, 1]) * (w - 0.1)
            size = (part * (w - 0.1), step * rng.uniform(0.6, 0.85), d * 0.7)
            parts.append(_box(x, i * step + 0.03, d * 0.45, *size, BOOKS, SPINES, vivid(rng), frequency=25))
        else:
            parts.append(_thing(rng, rng.uniform(-0.3, 0.3) * w, i * step + 0.03, d / 2, 0.7 * step))
    return Piece(parts, w, d, h)


def tv_stand(rng: Rng) -> Piece:
    """A low cupboard with a television on it."""
    w, d, h = rng.uniform(1.0, 1.7), rng.uniform(0.38, 0.5), rng.uniform(0.4, 0.65)
    screen = rng.uniform(0.7, 0.95) * w
    parts = [
        _box(0, 0, d / 2, w, h, d, FURNITURE, WOOD, wooden(rng)),
        _box(0, h, d / 2, 0.25, 0.06, 0.2, TV, PLAIN, (0.08, 0.08, 0.08)),
        _box(0, h + 0.06, d / 2, screen, 0.57 * screen, 0.06, TV, SCREEN, (0.05, 0.05, 0.06), dull(rng)),
    ]
    return Piece(parts, w, d, h + 0.06 + 0.57 * screen)


def desk(rng: Rng) -> Piece:
    """A desk, perhaps with a screen and a pile of books."""
    w, d, h = rng.uniform(1.0, 1.7), rng.uniform(0.55, 0.75), rng.uniform(0.7, 0.78)
    parts = _legs_and_top(rng, w, d, h)
    if rng.random() < 0.5:
        parts.append(_box(0, h + 0.08, 0.22, 0.55, 0.33, 0.04, TV, SCREEN, (0.05, 0.05, 0.06), dull(rng)))
        parts.append(_box(0, h, 0.22, 0.2, 0.08, 0.12, TV, PLAIN, (0.1, 0.1, 0.1)))
    if rng.random() < 0.6:
        x = rng.choice([-1, 1]) * rng.uniform(0.33, 0.4) * w
        pile = (0.24, rng.uniform(0.06, 0.2), 0.3)
        parts.append(_box(x, h, d / 2, *pile, BOOKS, SPINES, vivid(rng), frequency=40))
    parts.append(_thing(rng, rng.uniform(0.2, 0.28) * w, h, d * 0.6, 0.25))
    return Piece(parts, w, d, 1.2)


def table(rng: Rng) -> Piece:
    """A table, high or low, perhaps with things on it."""
    w, d = rng.uniform(0.7, 1.4), rng.uniform(0.5, 0.9)
    h = rng.uniform(0.4, 0.5) if rng.random() < 0.4 else rng.uniform(0.7, 0.78)
    parts = _legs_and_top(rng, w, d, h)
    for _ in range(int(rng.integers(0, 3))):
        parts.append(_thing(rng, rng.uniform(-0.35, 0.35) * w, h, rng.uniform(0.25, 0.75) * d, 0.25))
    if rng.random() < 0.3:
        parts.append(_box(0, h, d / 2, 0.2, 0.05, 0.28, BOOKS, SPINES, vivid(rng), frequency=60))
    return Piece(parts, w, d, h)


def _legs_and_top(rng: Rng, w: float, d: float, h: float) -> list[Solid]:
    colour, leg = wooden(rng), rng.uniform(0.04, 0.07)
    parts = [_box(0, h - 0.04, d / 2, w, 0.04, d, TABLE, WOOD, colour)]
    corners = product((leg - w / 2, w / 2 - leg), (leg, d - leg))
    return parts + [_box(x, 0, v, leg, h - 0.04, leg, TABLE, WOOD, colour) for x, v in corners]


def chair(rng: Rng) -> Piece:
    """A chair."""
    s, h = rng.uniform(0.4, 0.5), rng.uniform(0.42, 0.48)
    colour = wooden(rng) if rng.random() < 0.5 else vivid(rng)
    parts = [
        _box(0, h - 0.05, s / 2, s, 0.06, s, CHAIR, PLAIN, colour),
        _box(0, h + 0.01, 0.03, s, rng.uniform(0.4, 0.55), 0.05, CHAIR, PLAIN, colour),
    ]
    corners = product((0.04 - s / 2, s / 2 - 0.04), (0.04, s - 0.04))
    parts += [_box(x, 0, v, 0.04, h - 0.05, 0.04, CHAIR, PLAIN, colour) for x, v in corners]
    return Piece(parts, s, s, 1.0)


def wardrobe(rng: Rng) -> Piece:
    """A wardrobe with two or three doors."""
    w, d, h = rng.uniform(0.9, 1.8), rng.uniform(0.5, 0.62), rng.uniform(1.8, 2.2)
    colour = wooden(rng) if rng.random() < 0.7 else pale(rng)
    parts = [_box(0, 0, d / 2, w, h, d, FURNITURE, WOOD, colour)]
    doors = int(rng.integers(2, 4))
    for i in range(doors):
        x = (i + 0.5) / doors * w - w / 2
        parts.append(_box(x, 0.06, d, w / doors - 0.03, h - 0.12, 0.03, FURNITURE, WOOD, near(rng, colour, 0.06)))
    return Piece(parts, w, d + 0.02, h)


def chest(rng: Rng) -> Piece:
    """A chest of drawers with a thing on it."""
    w, d, h = rng.uniform(0.45, 1.1), rng.uniform(0.4, 0.5), rng.uniform(0.5, 1.0)
    colour = wooden(rng) if rng.random() < 0.6 else pale(rng)
    parts = [_box(0, 0, d / 2, w, h, d, FURNITURE, WOOD, colour)]
    drawers = int(rng.integers(2, 5))
    for i in range(drawers):
        y = 0.04 + i * (h - 0.06) / drawers
        front = (w - 0.06, (h - 0.06) / drawers - 0.03, 0.03)
        parts.append(_box(0, y, d, *front, FURNITURE, WOOD, near(rng, colour, 0.08)))
    parts.append(_thing(rng, rng.uniform(-0.3, 0.3) * w, h, d / 2, 0.4))
    return Piece(parts, w, d + 0.02, h + 0.3)


def bin(rng: Rng) -> Piece:
    """A round bin."""
    radius, h = rng.uniform(0.12, 0.22), rng.uniform(0.3, 0.6)
    at = (0.0, h / 2, radius)
    can = Solid(at, (radius, h / 2, radius), OBJECTS, PLAIN, vivid(rng), shape="cylinder")
    return Piece([can], 0.4, 0.4, h)


def _thing(rng: Rng, x: float, y: float, z: float, height: float) -> Solid:
    """A vase, a lamp or a case of at most this height."""
    h, r = rng.uniform(0.5, 1.0) * height, rng.uniform(0.05, 0.11)
    if rng.random() < 0.6:
        return Solid((x, y + h / 2, z), (r, h / 2, r), OBJECTS, PLAIN, vivid(rng), shape="cylinder")
    return _box(x, y, z, 2 * r, h, 2 * r, OBJECTS, int(rng.choice([PLAIN, CHECKER])), vivid(rng))


def _box(
    x: float, y: float, z: float, w: float, h: float, d: float, label: int, texture: int,
    colour: Colour, second: Colour | None = None, frequency: float = 8.0,
) -> Solid:  # fmt: skip
    """A box on the height y whose other coordinates are those of its centre."""
    darker = tuple(0.8 * c for c in colour)
    return Solid(
        (x, y + h / 2, z), (w / 2, h / 2, d / 2), label, texture, colour, second or (darker[0], darker[1], darker[2]),
        frequency,
    )  # fmt: skip
