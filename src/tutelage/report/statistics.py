"""Statistics of several seeds: means, their intervals, and paired differences."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from scipy.special import stdtrit  # the quantiles of scipy.stats.t, which takes a second to import

# Digits after the point by unit.
_DIGITS = {"%": 2, "deg": 2, "m": 4, "": 4}


@dataclass(frozen=True)
class Summary:
    """Mean and interval of n values of one quantity.

    Attributes:
        mean: of the values; NaN where a value is missing or there are none.
        half: half the width of the 95 % interval of the mean, t s / sqrt(n), with the sample standard deviation s and
            Student's t of n - 1 degrees of freedom; None for a single value.
        count: n.
    """

    mean: float
    half: float | None
    count: int

    @property
    def clear(self) -> bool:
        """Whether there is an interval and it does not include 0."""
        return self.half is not None and abs(self.mean) > self.half

    def without_interval(self) -> "Summary":
        """The mean alone."""
        return replace(self, half=None)

    def text(self, unit: str, signed: bool = False) -> str:
        """The text in a table: `43.37`, `43.37 ± 0.52`, or a dash where there is no value."""
        if math.isnan(self.mean):
            return "-"
        digits, sign = _DIGITS.get(unit, 4), "+" if signed else ""
        text = f"{self.mean:{sign}.{digits}f}"
        if signed and float(text) == 0:
            text = text[1:]  # neither +0.00 nor -0.00
        return text if self.half is None else f"{text} ± {self.half:.{digits}f}"


def summarise(values: Iterable[float | None]) -> Summary:
    """Mean and 95 % interval by Student's t; None is a missing value.

    >>> summarise([1.0, 2.0, 3.0]).text("%")
    '2.00 ± 2.48'
    >>> summarise([1.0]).text("%"), summarise([1.0, None]).text("%")
    ('1.00', '-')
    """
    numbers = [math.nan if value is None else value for value in values]
    n = len(numbers)
    if n == 0 or any(math.isnan(number) for number in numbers):
        return Summary(math.nan, None, n)
    half = float(stdtrit(n - 1, 0.975)) * stdev(numbers) / math.sqrt(n) if n > 1 else None
    return Summary(fmean(numbers), half, n)


def paired(a: Mapping[int, float | None], b: Mapping[int, float | None]) -> Summary:
    """Mean and interval of the differences a - b, over the seeds that both have.

    Two runs of one seed share its teachers, initial weights and order of images. The effect of these cancels in the
    difference, so that its interval is narrower than that of two independent means.

    >>> paired({0: 1.0, 1: 2.0, 2: 9.0}, {0: 0.5, 1: 1.5}).text("%", signed=True)
    '+0.50 ± 0.00'
    """
    differences: list[float | None] = []
    for seed in sorted(a.keys() & b.keys()):
        x, y = a[seed], b[seed]
        differences.append(None if x is None or y is None else x - y)
    return summarise(differences)
