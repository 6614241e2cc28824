"""Ray casting: a scene seen through a pinhole becomes an image, classes, exact depth and exact normals."""

import math
from itertools import product

import numpy as np
import numpy.typing as npt

from tutelage.data.rooms.scene import Scene
from tutelage.data.rooms.solids import CANVAS, CHECKER, PANE, SCREEN, SPINES, STRIPES, WOOD, Array, Rng, Solid

Index = npt.NDArray[np.int64]

_FOCAL = 0.81  # of the image's width: 63 degrees, as the Kinect of NYU-v2
_NEAR = 0.05


def render(scene: Scene, size: tuple[int, int], rng: Rng) -> tuple[Array, Index, Array, Array]:
    """Cast one ray per pixel.

    Args:
        scene: what is seen.
        size: height and width; another size shows the same view, finer or coarser.
        rng: the camera's noise.

    Returns:
        Image [H, W, 3] in 0..1, classes [H, W], depth [H, W] in metres along the optical axis, and unit normals
        [H, W, 3] in camera axes: x right, y up, z towards the viewer.
    """
    height, width = size
    to_world = _rotation(scene)
    u, v = np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5
    rays = np.empty((height, width, 3), np.float32)
    rays[..., 0] = (u - width / 2) / (_FOCAL * width)
    rays[..., 1] = -(v[:, None] - height / 2) / (_FOCAL * width)
    rays[..., 2] = -1  # so that a ray's parameter is the depth
    directions = rays @ to_world.T.astype(np.float32)
    eye = np.array(scene.eye, np.float32)

    with np.errstate(divide="ignore", invalid="ignore"):
        depth = _room(scene, eye, directions)
        which = np.full(size, -1, np.int64)
        for index, solid in enumerate(scene.solids):
            window = _window(solid, eye, to_world, size)
            if window is None:
                continue
            t = _hit(solid, eye, directions[window])
            nearer = t < depth[window]
            depth[window][nearer] = t[nearer]
            which[window][nearer] = index
    points = eye + directions * depth[..., None]
    normals, labels, albedo, glow = _surface(scene, points.reshape(-1, 3), which.reshape(-1))
    normals = normals.reshape(height, width, 3)
    image = _light(scene, points, normals, albedo.reshape(normals.shape), glow.reshape(size), depth)
    return _expose(image, rng), labels.reshape(size), depth, normals @ to_world.astype(np.float32)


def _rotation(scene: Scene) -> Array:
    """From camera axes to the room's: roll, then pitch, then yaw."""
    (cy, sy), (cp, sp), (cr, sr) = ((math.cos(a), math.sin(a)) for a in (scene.yaw, scene.pitch, scene.roll))
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    rotation: Array = yaw @ pitch @ roll
    return rotation


def _room(scene: Scene, eye: Array, directions: Array) -> Array:
    """Depth of the walls, seen from inside: where a ray leaves the first pair of planes."""
    extent = np.array(scene.extent, np.float32)
    leave = np.where(directions > 0, extent - eye, -eye) / directions
    depth: Array = np.where(directions == 0, np.inf, leave).min(-1).astype(np.float32)
    return depth


def _window(solid: Solid, eye: Array, to_world: Array, size: tuple[int, int]) -> tuple[slice, slice] | None:
    """The pixels that a solid can cover, from its corners; all of them, where it reaches behind the camera."""
    height, width = size
    corners = np.array(list(product((-1, 1), repeat=3))) * solid.half
    cos, sin = math.cos(solid.yaw), math.sin(solid.yaw)
    turned = np.stack(
        [cos * corners[:, 0] + sin * corners[:, 2], corners[:, 1], cos * corners[:, 2] - sin * corners[:, 0]], 1
    )
    seen = (turned + solid.centre - eye) @ to_world
    ahead = -seen[:, 2]
    if (ahead < _NEAR).all():
        return None
    if (ahead < _NEAR).any():
        return slice(0, height), slice(0, width)
    u = seen[:, 0] / ahead * _FOCAL * width + width / 2
    v = -seen[:, 1] / ahead * _FOCAL * width + height / 2
    left, right = max(math.floor(u.min()), 0), min(math.ceil(u.max()) + 1, width)
    top, bottom = max(math.floor(v.min()), 0), min(math.ceil(v.max()) + 1, height)
    return None if left >= right or top >= bottom else (slice(top, bottom), slice(left, right))


def _hit(solid: Solid, eye: Array, directions: Array) -> Array:
    """Where rays from `eye` enter a solid, infinite where they miss it."""
    cos, sin = np.float32(math.cos(solid.yaw)), np.float32(math.sin(solid.yaw))
    ox, oy, oz = (eye - np.array(solid.centre, np.float32)).tolist()
    ox, oz = cos * ox - sin * oz, sin * ox + cos * oz
    dx, dy, dz = directions[..., 0], directions[..., 1], directions[..., 2]
    dx, dz = cos * dx - sin * dz, sin * dx + cos * dz
    enter, leave = _slab(oy, dy, solid.half[1])
    if solid.shape == "box":
        for o, d, half in ((ox, dx, solid.half[0]), (oz, dz, solid.half[2])):
            near, far = _slab(o, d, half)
            enter, leave = np.maximum(enter, near), np.minimum(leave, far)
    else:  # |o + t d|^2 = r^2 across the axis
        a, b, c = dx * dx + dz * dz, ox * dx + oz * dz, ox * ox + oz * oz - solid.half[0] ** 2
        root = np.sqrt(b * b - a * c)  # NaN where the ray misses: no comparison with it holds
        enter, leave = np.maximum(enter, (-b - root) / a), np.minimum(leave, (-b + root) / a)
    hit: Array = np.where((enter < leave) & (enter > _NEAR), enter, np.float32(np.inf))
    return hit


def _slab(origin: float, direction: Array, half: float) -> tuple[Array, Array]:
    a, b = (-half - origin) / direction, (half - origin) / direction
    return np.minimum(a, b), np.maximum(a, b)


def _surface(scene: Scene, points: Array, which: Index) -> tuple[Array, Index, Array, Array]:
    """Normals (in the room's axes), classes, albedo and glow at the points [N, 3] that the N pixels see."""
    extent = np.array(scene.extent, np.float32)
    # Walls, floor and ceiling follow the solids, as the faces -x, +x, -y, +y, -z, +z of a box seen from inside.
    floor, ceiling, *walls = scene.surfaces
    solids = [*scene.solids, walls[1], walls[3], floor, ceiling, walls[0], walls[2]]
    inside = which < 0
    share = points[inside] / extent * 2 - 1
    axis = np.abs(share).argmax(1)
    which = which.copy()
    which[inside] = len(scene.solids) + 2 * axis + (np.take_along_axis(share, axis[:, None], 1)[:, 0] > 0)

    table = np.array([(*s.centre, *s.half, math.cos(s.yaw), math.sin(s.yaw)) for s in solids], np.float32)
    table[len(scene.solids) :] = (*extent / 2, *extent / 2, 1, 0)
    row = table[which]
    half, cos, sin = row[:, 3:6], row[:, 6], row[:, 7]
    local = _turn(points - row[:, 0:3], cos, -sin)
    reach = local / half
    side = np.abs(reach).argmax(1)  # the axis that leaves the face
    pixels = np.arange(len(which))
    normals = np.zeros_like(local)
    normals[pixels, side] = np.sign(local[pixels, side]) * np.where(inside, -1, 1)
    across = np.where(side == 0, local[:, 2], local[:, 0])

    round_ = np.flatnonzero(np.array([s.shape == "cylinder" for s in solids])[which])
    radial = np.hypot(reach[round_, 0], reach[round_, 2])
    top = np.abs(reach[round_, 1]) > radial
    side[round_] = np.where(top, 1, 0)
    barrel, radial = round_[~top], radial[~top, None]
    normals[round_] = (0, 1, 0) * np.sign(local[round_])
    normals[barrel] = reach[barrel] * (1, 0, 1) / np.maximum(radial, 1e-6)
    across[round_] = local[round_, 0]
    across[barrel] = np.arctan2(local[barrel, 2], local[barrel, 0]) * half[barrel, 0]

    along = np.where(side == 1, local[:, 2], local[:, 1])
    margin = np.where(side == 0, half[:, 2], half[:, 0]) - np.abs(across)
    margin = np.minimum(margin, np.where(side == 1, half[:, 2], half[:, 1]) - np.abs(along))
    albedo, glow = _texture(solids, which, across, along, margin)
    return _turn(normals, cos, sin), np.array([s.label for s in solids])[which], albedo, glow


def _turn(x: Array, cos: Array, sin: Array) -> Array:
    """Turn vectors [N, 3] about y."""
    return np.stack([cos * x[:, 0] + sin * x[:, 2], x[:, 1], cos * x[:, 2] - sin * x[:, 0]], 1)


def _texture(solids: list[Solid], which: Index, a: Array, b: Array, margin: Array) -> tuple[Array, Array]:
    """Albedo [N, 3] and glow [N] from metres across and along a face and the distance to its edge."""
    table = np.array([(*s.colour, *s.second, s.frequency) for s in solids], np.float32)
    albedo, glow = table[which, :3], np.zeros_like(a)
    kinds = np.array([s.texture for s in solids])[which]

    def points(*kind: int) -> tuple[Index, Array, Array, Array, Array, Array]:
        at = np.flatnonzero(np.isin(kinds, kind))
        row = table[which[at]]
        return at, a[at], b[at], row[:, 6], row[:, :3], row[:, 3:6]

    for kind in (STRIPES, CHECKER, WOOD, CANVAS):
        at, u, v, frequency, first, second = points(kind)
        u, v, number = u * frequency, v * frequency, which[at]
        if kind == STRIPES:
            mix = np.floor(2 * u) % 2
        elif kind == CHECKER:
            mix = (np.floor(1.5 * u) + np.floor(1.5 * v)) % 2
        elif kind == WOOD:
            mix = 0.5 + 0.5 * np.sin(1.5 * u + 1.5 * np.sin(0.7 * v) + number)
        else:
            mix = 0.5 + 0.5 * np.sin(3 * u + 2 * np.sin(2 * v + number)) * np.cos(v)
        albedo[at] = first + (second - first) * mix[:, None]

    at, u, _, frequency, first, _ = points(SPINES)
    book, number = np.floor(u * frequency), which[at]
    spine = 0.15 + 0.7 * np.stack([_hash(book, number, channel) for channel in range(3)], 1)
    albedo[at] = 0.75 * spine * (0.75 + 0.25 * _hash(book, number, 3))[:, None] + 0.25 * first

    at, u, v, _, first, _ = points(PANE)
    bars = (np.abs(u) < 0.02) | (np.abs(v) < 0.02) | (margin[at] < 0.04)
    sky = np.array([0.72, 0.85, 1.0], np.float32) - 0.5 * np.clip(0.35 - 0.5 * v, 0, 0.5)[:, None]
    albedo[at] = np.where(bars[:, None], 0.5 * first + 0.04, sky)
    glow[at] = np.where(bars, 0, 0.9)

    at, u, v, _, first, second = points(SCREEN)
    albedo[at] = first + 0.5 * np.clip(0.2 + 0.4 * (u + v), 0, 0.5)[:, None] * second
    at, _, _, _, first, _ = points(SCREEN, CANVAS)
    albedo[at] = np.where((margin[at] < 0.04)[:, None], 0.5 * first + 0.04, albedo[at])
    grain = 0.94 + 0.12 * _hash(np.floor(a * 60), np.floor(b * 60) + 131 * which, 5)
    return albedo * grain[:, None], glow


def _hash(i: Array, j: npt.NDArray[np.number], salt: int) -> Array:
    """Noise in 0..1 that depends on whole numbers alone."""
    x = i.astype(np.int64) * 73856093 ^ j.astype(np.int64) * 19349663 ^ (salt + 1) * 83492791
    x = (x ^ (x >> 13)) * 1274126177 & 0xFFFFFF
    noise: Array = x.astype(np.float32) / np.float32(0xFFFFFF)
    return noise


def _light(scene: Scene, points: Array, normals: Array, albedo: Array, glow: Array, depth: Array) -> Array:
    """Ambient light, darker where the surroundings are nearer, and the lamps by Lambert's law."""
    hidden = np.clip((depth - _blur(depth, max(1, depth.shape[0] // 16))) / 0.5, 0, 1)
    light: Array = (0.34 + 0.06 * normals[..., 1]) * (1 - 0.45 * hidden)
    for place, power in scene.lights:
        way = np.array(place, np.float32) - points
        square = (way * way).sum(-1) + 0.05
        falloff = np.sqrt(square) * (1 + 0.18 * square)
        light += np.float32(power) * np.maximum((way * normals).sum(-1), 0) / falloff
    image: Array = albedo * np.maximum(light, glow)[..., None]
    return image


def _blur(x: Array, radius: int) -> Array:
    """The mean over a square, cut at the borders."""
    total: npt.NDArray[np.float64] = x.astype(np.float64)
    for axis in (0, 1):
        sums = np.cumsum(np.insert(total, 0, 0, axis), axis, dtype=np.float64)
        n = x.shape[axis]
        high, low = np.minimum(np.arange(n) + radius + 1, n), np.maximum(np.arange(n) - radius, 0)
        shape = [-1 if i == axis else 1 for i in range(2)]
        total = (sums.take(high, axis) - sums.take(low, axis)) / (high - low).reshape(shape)
    blurred: Array = total.astype(np.float32)
    return blurred


def _expose(image: Array, rng: Rng) -> Array:
    """Exposure, white balance, the lens (a soft 3x3 kernel), gamma and the sensor's noise."""
    image = image * np.float32(rng.uniform(0.75, 1.25)) * rng.uniform(0.93, 1.07, 3).astype(np.float32)
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    image = 0.25 * rows[:, :-2] + 0.5 * rows[:, 1:-1] + 0.25 * rows[:, 2:]
    image = np.clip(image, 0, 1) ** np.float32(1 / 1.6)
    noisy: Array = np.clip(image + rng.standard_normal(image.shape, np.float32) * np.float32(0.012), 0, 1)
    return noisy
