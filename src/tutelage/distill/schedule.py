"""The factor b of the distillation over the run."""

from math import cos, pi
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]


def factor(schedule: Schedule, progress: float) -> float:
    """b(p) at progress p in [0, 1]: 1, 1 - p, or (1 + cos(pi p)) / 2."""
    if schedule == "constant":
        return 1.0
    return 1.0 - progress if schedule == "linear" else (1.0 + cos(pi * progress)) / 2
