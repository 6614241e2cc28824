"""The colours of methods, on light and on dark ground.

People who see fewer colours can tell them apart: in each row any two are at least 0.08 apart in OKLab as seen without
red, green or blue receptors (Machado et al., 2009), and 0.13 by full sight; tests hold it.
"""

from collections.abc import Sequence
from typing import Literal

LIGHT = ("#767b80", "#0a72c4", "#d1480f", "#c3965a", "#4b0f69", "#7896ff", "#870f00", "#1e2db4")
DARK = ("#a3a9ae", "#4b9df0", "#ff7a45", "#f3e36b", "#e12da5", "#69d2ff", "#b45a4b", "#874bff")
# Of lines, where there are more names than colours.
DASHES: tuple[Literal["solid"] | tuple[float, tuple[float, ...]], ...] = ("solid", (0, (4, 2)), (0, (1, 1.5)))


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, in the order of the names; colours repeat, see `dash`."""
    return {name: LIGHT[index % len(LIGHT)] for index, name in enumerate(names)}


def dash(names: Sequence[str], name: str) -> int:
    """The line style that tells names of the same colour apart: 0 solid, 1 dashed, 2 dotted."""
    return min(list(names).index(name) // len(LIGHT), len(DASHES) - 1) if name in names else 0
