"""Surface normals from a depth map."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

_CHUNK = 2**21  # values of windows that are in memory at once
_SPREAD = 0.5  # square pixels; neighbours on a line two pixels wide are below it and determine no plane


class Camera(NamedTuple):
    """Focal lengths and principal point of a pinhole camera, in pixels; the first pixel's centre is at (0, 0)."""

    fx: float
    fy: float
    cx: float
    cy: float

    def resized(self, scale: float) -> "Camera":
        """The camera of the same image, `scale` times as large."""
        return Camera(self.fx * scale, self.fy * scale, (self.cx + 0.5) * scale - 0.5, (self.cy + 0.5) * scale - 0.5)


def normals_from_depth(
    depth: npt.NDArray[np.floating], camera: Camera, window: int = 31, tolerance: float = 0.05
) -> npt.NDArray[np.float32]:
    """The normal of the plane that fits best around every pixel, by weighted least squares.

    The plane n . X = 1 is, at pixel (u, v) with X = z (x, y, 1), x = (u - cx) / fx and y = (v - cy) / fy,

        1 / z = n_x x + n_y y + n_z,

    linear in the image. So at a pixel p with depth z_p, over the neighbours q of its window,

        minimise  sum_q w_q (e + a (u_q - u_p) + b (v_q - v_p) - t_q)^2,    t_q = z_p / z_q - 1,
        w_q = max(0, 1 - (t_q / tolerance)^2),

    and n is (a fx, b fy, 1 + e - a (u_p - cx) - b (v_p - cy)), up to its length. A plane's normal is exact whatever the
    weights are; a surface whose distance differs by more than `tolerance` has no weight, which preserves edges; and the
    error of a structured-light or stereo camera is even in 1 / z.

    Args:
        depth: [H, W] metres along the optical axis; 0, or anything not finite, where there is none.
        camera: of the depth map.
        window: side of the square window, odd, in pixels.
        tolerance: the relative difference in distance at which a neighbour's weight is 0.

    Returns:
        Unit vectors [H, W, 3], x right, y up, z towards the viewer; (0, 0, 0) where there is no depth, or too few
        neighbours at a like distance to determine a plane.
    """
    height, width = depth.shape
    reach = window // 2
    measured = np.isfinite(depth) & (depth > 0)
    inverse = np.where(measured, 1 / np.where(measured, depth, 1), 0).astype(np.float32)  # 0: t = -1 has no weight
    padded = np.pad(inverse, reach)
    dv, du = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).astype(np.float32)
    basis = np.stack([np.ones_like(du), du, dv, du * du, du * dv, dv * dv], 1)  # [neighbours, 6]
    v, u = np.mgrid[:height, :width]
    normals = np.zeros((height, width, 3), np.float32)
    rows = max(1, _CHUNK // (width * window**2))
    for top in range(0, height, rows):
        part = slice(top, top + rows)
        own = inverse[part].reshape(-1, 1)
        windows = sliding_window_view(padded[top : top + rows + 2 * reach], (window, window))
        t = windows.reshape(len(own), -1) / np.where(own > 0, own, 1)
        t -= 1
        weight = np.maximum(1 - (t / tolerance) ** 2, 0)
        plane, determined = _planes(weight @ basis, (weight * t) @ basis[:, :3])
        a, b, e = plane
        n = np.stack(
            [
                -a * camera.fx,  # the side that is seen; y and z from down and forward to up and backward
                b * camera.fy,
                1 + e - a * (u[part].ravel() - camera.cx) - b * (v[part].ravel() - camera.cy),
            ],
            1,
        )
        n /= np.linalg.norm(n, axis=1, keepdims=True)
        normals[part] = np.where((own > 0) & determined[:, None], n, 0).reshape(-1, width, 3)
    return normals


def _planes(
    left: npt.NDArray[np.floating], right: npt.NDArray[np.floating]
) -> tuple[tuple[npt.NDArray[np.float64], ...], npt.NDArray[np.bool_]]:
    """(a, b, e), where they are determined, from the sums of w (1, du, dv, du^2, du dv, dv^2) and w t (1, du, dv)."""
    total = np.maximum(left[:, :1].astype(np.float64), 1e-6)
    _, mu, mv, uu, uv, vv = (left / total).T
    mt, ut, vt = (right / total).T
    uu, uv, vv = uu - mu * mu, uv - mu * mv, vv - mv * mv  # covariances
    ut, vt = ut - mu * mt, vt - mv * mt
    least = (uu + vv) / 2 - np.hypot((uu - vv) / 2, uv)  # the smaller eigenvalue
    determined = least > _SPREAD
    determinant = np.where(determined, uu * vv - uv * uv, 1)
    a, b = (ut * vv - vt * uv) / determinant, (vt * uu - ut * uv) / determinant
    return (a, b, mt - a * mu - b * mv), determined
