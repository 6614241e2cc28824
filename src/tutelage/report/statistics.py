"""What several values say together: means, their intervals, and differences of pairs."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

# Digits after the point, by unit.
_DIGITS = {"%": 2, "deg": 2, "m": 4, "": 4}
# 97.5 % quantiles of Student's t for 1, 2, ... degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


@dataclass(frozen=True)
class Summary:
    """Several values of one quantity.

    Attributes:
        mean: of the values; NaN where a value is missing.
        half: half the width of the 95 % interval of the mean, t s / sqrt(n); none for a single value.
        count: n.
    """

    mean: float
    half: float | None
    count: int

    @property
    def clear(self) -> bool:
        """Whether there is an interval, and 0 is not in it."""
        return self.half is not None and abs(self.mean) > self.half

    def text(self, unit: str, signed: bool = False) -> str:
        """As a table has it: `43.37`, `43.37 ± 0.52`, or a dash where there is no value."""
        if math.isnan(self.mean):
            return "-"
        digits, sign = _DIGITS.get(unit, 4), "+" if signed else ""
        text = f"{self.mean:{sign}.{digits}f}"
        if signed and float(text) == 0:
            text = text[1:]  # neither +0.00 nor -0.00
        return text if self.half is None else f"{text} ± {self.half:.{digits}f}"


def summarise(values: Iterable[float | None]) -> Summary:
    """Mean and 95 % interval by Student's t.

    >>> summarise([1.0, 2.0, 3.0]).text("%")
    '2.00 ± 2.48'
    >>> summarise([1.0]).text("%"), summarise([1.0, None]).text("%")
    ('1.00', '-')
    """
    numbers = [math.nan if value is None else value for value in values]
    n = len(numbers)
    if n == 0 or any(math.isnan(number) for number in numbers):
        return Summary(math.nan, None, n)
    half = _t(n - 1) * stdev(numbers) / math.sqrt(n) if n > 1 else None
    return Summary(fmean(numbers), half, n)


def paired(a: Mapping[int, float | None], b: Mapping[int, float | None]) -> Summary:
    """The difference a - b over the seeds that both have, as a quantity of its own.

    What a seed does to both (its teachers, its initial weights, its order of images) cancels, so that the interval is
    that of the difference and not of two independent means.

    >>> paired({0: 1.0, 1: 2.0, 2: 9.0}, {0: 0.5, 1: 1.5}).text("%", signed=True)
    '+0.50 ± 0.00'
    """
    differences: list[float | None] = []
    for seed in sorted(a.keys() & b.keys()):
        x, y = a[seed], b[seed]
        differences.append(None if x is None or y is None else x - y)
    return summarise(differences)


def _t(freedom: int) -> float:
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = NormalDist().inv_cdf(0.975)  # Fisher and Cornish's expansion around the normal quantile
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
