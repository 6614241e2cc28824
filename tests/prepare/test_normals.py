import numpy as np
import pytest

from tutelage.prepare import Camera, normals_from_depth

CAMERA = Camera(500.0, 520.0, 30.0, 20.0)
SIZE = (40, 56)


def plane(n: np.ndarray) -> np.ndarray:
    """Depth of n . X = 1 with x right, y down, z forward."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    return 1 / (n[0] * (u - CAMERA.cx) / CAMERA.fx + n[1] * (v - CAMERA.cy) / CAMERA.fy + n[2])


def seen(n: np.ndarray) -> np.ndarray:
    """The side of the plane towards the viewer, with x right, y up, z towards the viewer."""
    return n * [-1, 1, 1] / np.linalg.norm(n)


def degrees(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The angle between unit vectors, exact for small ones too."""
    return np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(a - b, axis=-1) / 2, 0, 1)))


def slow(depth: np.ndarray, window: int, tolerance: float) -> np.ndarray:
    """Pixel by pixel, on points: rows of w (x, y, 1) n = w / z, by numpy's least squares."""
    height, width = depth.shape
    normals = np.zeros((height, width, 3))
    for v in range(height):
        for u in range(width):
            rows, values = [], []
            for q in range(max(0, v - window // 2), min(height, v + window // 2 + 1)):
                for p in range(max(0, u - window // 2), min(width, u + window // 2 + 1)):
                    if depth[v, u] > 0 and depth[q, p] > 0:
                        t = depth[v, u] / depth[q, p] - 1
                        root = np.sqrt(max(0, 1 - (t / tolerance) ** 2))
                        rows.append([root * (p - CAMERA.cx) / CAMERA.fx, root * (q - CAMERA.cy) / CAMERA.fy, root])
                        values.append(root / depth[q, p])
            if rows:
                n = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
                normals[v, u] = n * [-1, 1, 1] / np.linalg.norm(n)
    return normals


def test_axes() -> None:
    for n, expected in (((0, 0, 0.5), (0, 0, 1)), ((0, 1, 0.3), (0, 1, 0.3)), ((-1, 0, 1), (1, 0, 1))):
        # A wall ahead; a floor, y down in the plane and up in the normal; a wall on the left, which faces right.
        found = normals_from_depth(plane(np.array(n, float)), CAMERA, 7)
        unit = np.array(expected) / np.linalg.norm(expected)
        assert degrees(found, unit).max() < 0.05


@pytest.mark.parametrize("seed", range(6))
def test_planes_are_exact(seed: int) -> None:
    n = np.random.default_rng(seed).normal(size=3) * [0.4, 0.4, 0] + [0, 0, 0.5]
    found = normals_from_depth(plane(n), CAMERA)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, rtol=1e-5)
    assert degrees(found, seen(n)).max() < 0.1


def test_planes_are_exact_beside_an_edge() -> None:
    near, far = np.array([0.2, 0.1, 0.6]), np.array([-0.1, 0.2, 0.4])
    right = np.arange(SIZE[1]) >= 25
    found = normals_from_depth(np.where(right, plane(near), plane(far)), CAMERA)
    expected = np.where(right[None, :, None], seen(near), seen(far))
    assert degrees(found, expected).max() < 0.1
    blurred = normals_from_depth(np.where(right, plane(near), plane(far)), CAMERA, tolerance=0.99)
    assert degrees(blurred, expected)[:, 22:28].mean() > 5  # what the weights are for


def test_least_squares_as_numpy_has_them() -> None:
    rng = np.random.default_rng(0)
    small = np.s_[10:22, 20:36]
    depth = plane(np.array([0.1, 0.2, 0.5])) * rng.uniform(0.98, 1.02, SIZE)
    depth[small][2:4, 3:5] = 0
    cut = depth[small].copy()
    camera = Camera(CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy)
    assert degrees(normals_from_depth(cut, camera, 7), slow(cut, 7, 0.05)).max() < 0.1


def test_noise_of_a_depth_camera_is_averaged() -> None:
    n = np.array([0.1, 0.2, 0.4])
    noise = np.random.default_rng(0).normal(0, 1.5e-3, SIZE)  # even in 1 / z: 1.5 mm at 1 m, 4 cm at 5 m
    found = normals_from_depth(1 / (1 / plane(n) + noise), CAMERA)
    assert degrees(found, seen(n)).mean() < 1


def test_no_depth_no_normal() -> None:
    depth = plane(np.array([0.0, 0.2, 0.5]))
    depth[5:9], depth[20, 30:] = 0, np.nan
    depth[30:, 10] = 100.0  # a line of pixels at a distance of its own determines no plane
    found = normals_from_depth(depth, CAMERA)
    none = ~(found != 0).any(-1)
    expected = np.zeros(SIZE, bool)
    expected[5:9], expected[20, 30:], expected[30:, 10] = True, True, True
    assert (none == expected).all()
    assert degrees(found, seen(np.array([0.0, 0.2, 0.5])))[~none].max() < 0.1


def test_a_smaller_image_has_the_same_view() -> None:
    half = CAMERA.resized(0.5)
    assert (half.fx, half.fy) == (250, 260)
    assert (0.5 + half.cx) / half.fx == pytest.approx((0.5 + CAMERA.cx) / CAMERA.fx)  # the left edge
