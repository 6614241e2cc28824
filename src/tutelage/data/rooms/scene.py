"""A random furnished room, in metres: x and z on the floor, y up."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tutelage.data.rooms import furniture
from tutelage.data.rooms.furniture import Piece
from tutelage.data.rooms.solids import (
    CANVAS,
    CEILING,
    CHECKER,
    FLOOR,
    OBJECTS,
    PAINTING,
    PANE,
    PLAIN,
    SCREEN,
    STRIPES,
    TV,
    WALL,
    WINDOW,
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


@dataclass
class Scene:
    """A room [0, width] x [0, height] x [0, depth], what stands in it, the lights and the camera."""

    extent: tuple[float, float, float]
    surfaces: list[Solid] = field(default_factory=list)  # floor, ceiling and four walls: texture and colour only
    solids: list[Solid] = field(default_factory=list)
    lights: list[tuple[tuple[float, float, float], float]] = field(default_factory=list)
    eye: tuple[float, float, float] = (0.0, 1.5, 0.0)
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0


def furnish(rng: Rng) -> Scene:
    """A random furnished room."""
    width, depth, height = rng.uniform(3.2, 5.6), rng.uniform(3.4, 6.2), rng.uniform(2.4, 3.0)
    scene = Scene((width, height, depth))
    wall, trim = pale(rng), pale(rng)
    floor = wooden(rng) if rng.random() < 0.6 else dull(rng)
    floor_texture = int(rng.choice([WOOD, WOOD, CHECKER, PLAIN]))
    scene.surfaces = [
        Solid((0, 0, 0), (0, 0, 0), FLOOR, floor_texture, floor, near(rng, floor, 0.12), rng.uniform(2, 6)),
        Solid((0, 0, 0), (0, 0, 0), CEILING, PLAIN, bright(rng), frequency=6),
    ]
    for side in range(4):
        accent = dull(rng) if side == 0 and rng.random() < 0.25 else wall
        texture = STRIPES if rng.random() < 0.15 else PLAIN
        scene.surfaces.append(Solid((0, 0, 0), (0, 0, 0), WALL, texture, accent, near(rng, accent, 0.06), 5.0))
    _Decorator(rng, scene, trim).decorate()
    for _ in range(int(rng.integers(1, 3))):
        place = (rng.uniform(0.25, 0.75) * width, height - rng.uniform(0.15, 0.4), rng.uniform(0.25, 0.75) * depth)
        scene.lights.append((place, rng.uniform(0.7, 1.2)))
    return scene


# What may stand there, and how likely.
_ALONG_WALLS: list[tuple[Callable[[Rng], Piece], float]] = [
    (furniture.bed, 0.5),
    (furniture.sofa, 0.5),
    (furniture.shelf, 0.7),
    (furniture.tv_stand, 0.5),
    (furniture.desk, 0.6),
    (furniture.wardrobe, 0.4),
    (furniture.chest, 0.5),
    (furniture.shelf, 0.3),
]
_IN_THE_MIDDLE: list[tuple[Callable[[Rng], Piece], float]] = [
    (furniture.table, 0.6),
    (furniture.chair, 0.75),
    (furniture.chair, 0.5),
    (furniture.bin, 0.4),
]


class _Decorator:
    """Places the camera, furniture along the walls and in the middle, and what hangs on the walls."""

    def __init__(self, rng: Rng, scene: Scene, trim: Colour) -> None:
        self.rng, self.scene, self.trim = rng, scene, trim
        self.width, self.height, self.depth = scene.extent
        self.taken: list[tuple[float, float, float]] = []  # circles on the floor: x, z, radius
        self.spans: list[tuple[int, float, float, float]] = []  # on a wall: side, from, to, up to which height

    def decorate(self) -> None:
        """Fill the scene."""
        rng = self.rng
        # The camera stands at the near wall (z = depth) and looks to the far one (z = 0).
        eye = (rng.uniform(0.25, 0.75) * self.width, rng.uniform(1.15, 1.75), self.depth - rng.uniform(0.3, 0.9))
        target = (rng.uniform(0.3, 0.7) * self.width, rng.uniform(0.6, 1.2), rng.uniform(0.0, 0.35) * self.depth)
        self.scene.eye = eye
        across, ahead = target[0] - eye[0], eye[2] - target[2]
        self.scene.yaw = math.atan2(-across, ahead)
        self.scene.pitch = math.atan2(target[1] - eye[1], math.hypot(across, ahead)) + rng.normal(0, 0.05)
        self.scene.roll = rng.normal(0, 0.03)
        self.taken.append((eye[0], eye[2], 0.55))

        for build, chance in sorted(_ALONG_WALLS, key=lambda _: rng.random()):
            if rng.random() < chance:
                self.along_a_wall(build(rng))
        for build, chance in _IN_THE_MIDDLE:
            if rng.random() < chance:
                self.in_the_middle(build(rng))
        for _ in range(int(rng.integers(2, 5))):
            self.on_a_wall(PAINTING)
        for _ in range(int(rng.integers(1, 3))):
            self.on_a_wall(WINDOW)
        if rng.random() < 0.25:
            self.on_a_wall(TV)
        if rng.random() < 0.6:
            radius = rng.uniform(0.12, 0.25)
            at = (self.width * rng.uniform(0.3, 0.7), self.height - 0.12, self.depth * rng.uniform(0.2, 0.6))
            self.scene.solids.append(Solid(at, (radius, 0.12, radius), OBJECTS, PLAIN, bright(rng), shape="cylinder"))

    def along_a_wall(self, piece: Piece) -> None:
        """Place a piece with its back to a wall."""
        _, width, _, height = piece
        for _ in range(12):
            side = int(self.rng.choice([0, 0, 1, 3]))  # far, left, right; the camera has its back to the near one
            length = self.width if side == 0 else self.depth
            if width > length - 0.1:
                return
            along = self.rng.uniform(width / 2 + 0.05, length - width / 2 - 0.05)
            gap = 0.02
            x, z, yaw = {
                0: (along, gap, 0.0),
                1: (gap, along, math.pi / 2),
                3: (self.width - gap, along, -math.pi / 2),
            }[side]
            if self.place(piece, x, z, yaw):
                self.spans.append((side, along - width / 2, along + width / 2, height))
                return

    def in_the_middle(self, piece: Piece) -> None:
        """Place a piece anywhere, turned by any angle."""
        for _ in range(12):
            x, z = self.rng.uniform(0.6, self.width - 0.6), self.rng.uniform(0.6, self.depth - 1.2)
            yaw = self.rng.uniform(-math.pi, math.pi)
            if self.place(piece, x, z, yaw):
                return

    def place(self, piece: Piece, x: float, z: float, yaw: float) -> bool:
        """Place a piece at a position, unless something is in the way."""
        parts, width, depth, _ = piece
        cos, sin = math.cos(yaw), math.sin(yaw)
        count = max(1, round(width / depth)) if width >= depth else max(1, round(depth / width))
        circles = []
        for i in range(count):  # the footprint as a row of circles
            share = (i + 0.5) / count
            u, v = (width * (share - 0.5), depth / 2) if width >= depth else (0.0, depth * share)
            radius = 0.55 * max(width / count if width >= depth else width, min(width, depth))
            circles.append((x + cos * u + sin * v, z - sin * u + cos * v, radius))
        for cx, cz, radius in circles:
            for tx, tz, taken in self.taken:
                if math.hypot(cx - tx, cz - tz) < radius + taken:
                    return False
        self.taken += circles
        for part in parts:
            u, y, v = part.centre
            part.centre = (x + cos * u + sin * v, y, z - sin * u + cos * v)
            part.yaw += yaw
        self.scene.solids += parts
        return True

    def on_a_wall(self, label: int) -> None:
        """Hang a painting, a window or a television where nothing stands in front."""
        rng = self.rng
        for _ in range(8):
            side = int(rng.choice([0, 0, 1, 3]))
            length = self.width if side == 0 else self.depth
            w = {PAINTING: rng.uniform(0.35, 1.1), WINDOW: rng.uniform(0.9, 1.8), TV: rng.uniform(0.9, 1.4)}[label]
            h = {PAINTING: rng.uniform(0.35, 0.9), WINDOW: rng.uniform(0.9, 1.4), TV: 0.57 * w}[label]
            low = max(rng.uniform(0.9, 1.4) if label != WINDOW else rng.uniform(0.7, 1.1), 0.0)
            if low + h > self.height - 0.1 or w > length - 0.4:
                continue
            a = rng.uniform(w / 2 + 0.1, length - w / 2 - 0.1)
            free = all(
                s != side or a + w / 2 < start or a - w / 2 > end or low > top + 0.05
                for s, start, end, top in self.spans
            )
            if not free:
                continue
            self.spans.append((side, a - w / 2 - 0.05, a + w / 2 + 0.05, self.height))
            thick = 0.025
            x, z, yaw = {
                0: (a, thick, 0.0), 1: (thick, a, math.pi / 2), 3: (self.width - thick, a, -math.pi / 2),
            }[side]  # fmt: skip
            texture = {PAINTING: CANVAS, WINDOW: PANE, TV: SCREEN}[label]
            half = (w / 2, h / 2, thick)
            colour, second = (vivid(rng), vivid(rng)) if label == PAINTING else (self.trim, bright(rng))
            centre = (x, low + h / 2, z)
            frequency = rng.uniform(2, 6)
            self.scene.solids.append(Solid(centre, half, label, texture, colour, second, frequency, yaw=yaw))
            return
