"""The plan of a study: every figure of a run, and the sums, at any width."""

import re

import pytest

from tutelage.study import plan_lines
from tutelage.study.estimate import Estimate

KINDS = [
    Estimate("single segmentation", 3, 200.0, "2x4", 1e-4, 79_500, 24_900_000, 5 * 3600.0, 300_000_000),
    Estimate("kd4mtl", 3, 0.25, "128", 3.33333e-3, 48, 950, 42.0, 9_000, 12_000_000_000, 60.0),
]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_every_figure_fits_the_width(width: int) -> None:
    lines = plan_lines("rooms", [0, 1, 2], KINDS, 9 * 3600.0, width)
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert ("kd4mtl" in lines) == (width == 60)  # names have lines of their own
    for row in (
        "one run runs params epochs batch rate steps time disk cache",
        "single segmentation 3 24.9M 200 2x4 0.0001 79.5k 5.0 h 300 MB -",
        "kd4mtl 3 950 0.25 128 0.0033 48 42 s 9 kB 12 GB",
        "all runs 6 239k 9.0 h 900 MB 36 GB",
    ):
        assert row in text


def test_figures_stand_below_their_names() -> None:
    lines = plan_lines("rooms", [0], KINDS, 60.0, 200)[2:]
    columns = [match.end() for match in re.finditer(r"\S+", lines[0])][2:]
    for line in lines[1:3]:  # every figure ends where the name of its column does
        assert all(line[end - 1] != " " and line[end : end + 1] in ("", " ") for end in columns)
