import math
import re

import pytest

from tutelage.report.charts import svg
from tutelage.report.plots import LINEAR, Scale, curves


def ticks(text: str) -> list[str]:
    """The labels of the first panel's y axis."""
    axis = text[text.index('id="x-matplotlib.axis_2"') :]
    return re.findall(r"<text[^>]*>([^<]*)</text>", axis[: axis.index('id="x-patch_')])


@pytest.mark.parametrize(
    ("values", "scale", "shown"),
    [
        ([1.0, 1000.0], LINEAR, "800"),
        ([1.0, 1000.0], Scale(decades=2), "10"),
        ([1.0, 50.0], Scale(decades=2), "30"),
        ([0.0, 1.0, 1000.0, math.nan], Scale(decades=2), "10"),  # 0 stays in sight
        ([0.0, 1.0, 1000.0], Scale(decades=2), "0"),
        ([0.5, 8.0], Scale(decades=1, shared=True), "2"),
        ([0.01, 0.02], Scale(reach=0.1), "0.10"),
        ([0.0, 0.0], Scale(decades=2, shared=True), "0.00"),
        ([math.nan, math.inf], Scale(decades=2, shared=True), "0.00"),
    ],
)
def test_scales(values: list[float], scale: Scale, shown: str) -> None:
    panels = {"depth": {"uniform": (range(len(values)), values)}}
    assert shown in ticks(svg(curves(panels, ["uniform"], ("epoch", "loss"), scale, only="depth"), "x"))
