from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from tutelage.report.palette import DARK, LIGHT, colours, dash

Vector = npt.NDArray[np.float64]
# Machado et al. (2009), severity 1, on linear RGB.
SIGHT = {
    "full": np.eye(3),
    "without red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "without green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "without blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_CONES = [[0.41222147, 0.53633254, 0.05144599], [0.2119035, 0.6806995, 0.1073970], [0.0883025, 0.2817188, 0.6299787]]
TO_OKLAB = [
    [0.21045426, 0.79361779, -0.00407205],
    [1.9779985, -2.4285922, 0.4505937],
    [0.0259040, 0.7827718, -0.8086758],
]


def linear(colour: str) -> Vector:
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def oklab(rgb: Vector) -> Vector:
    lab: Vector = np.array(TO_OKLAB) @ np.cbrt(np.array(TO_CONES) @ rgb.clip(0, 1))
    return lab


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_any_two_methods_can_be_told_apart(palette: tuple[str, ...], sight: str) -> None:
    seen = {colour: oklab(np.array(SIGHT[sight]) @ linear(colour)) for colour in palette}
    closest = min(float(np.linalg.norm(seen[a] - seen[b])) for a, b in combinations(palette, 2))
    assert closest >= (0.13 if sight == "full" else 0.08)


@pytest.mark.parametrize(("palette", "ground"), [(LIGHT, "#fdfdfc"), (DARK, "#16181a")])
def test_no_line_vanishes_on_its_ground(palette: tuple[str, ...], ground: str) -> None:
    light = {colour: float(linear(colour) @ [0.2126, 0.7152, 0.0722]) + 0.05 for colour in (*palette, ground)}
    contrasts = [max(light[c], light[ground]) / min(light[c], light[ground]) for c in palette]
    assert min(contrasts) > 2.5


def test_a_colour_that_repeats_has_another_line() -> None:
    names = [f"method{index}" for index in range(20)]
    assert colours(names)["method0"] == colours(names)["method8"]
    assert [dash(names, f"method{index}") for index in (0, 8, 16)] == [0, 1, 2]
    assert dash(names, "unknown") == 0
