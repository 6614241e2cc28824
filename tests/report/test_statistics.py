import math
from itertools import product

import pytest
import torch

from tutelage.report import Summary, paired, summarise


@pytest.mark.parametrize("n", [2, 3, 10, 16, 17, 40, 200])
def test_the_interval_covers_95_of_100(n: int) -> None:
    """By simulation: as good as Student's t for any number of seeds, the tabled ones and those beyond."""
    x = torch.randn(200_000 // n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    per_unit = summarise(x[0].tolist()).half / float(x[0].std() / math.sqrt(n))  # the quantile that is used
    covered = (x.mean(1).abs() <= per_unit * x.std(1) / math.sqrt(n)).double().mean()
    assert float(covered) == pytest.approx(0.95, abs=4 * math.sqrt(0.05 * 0.95 / len(x)) + 1e-3)


def test_one_value_has_no_interval_and_a_missing_value_no_mean() -> None:
    assert summarise([2.0]) == Summary(2.0, None, 1)
    assert math.isnan(summarise([2.0, None]).mean)
    assert summarise([2.0, None]).text("%") == "-"
    assert summarise([]).text("%") == "-"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1.005, "m", "1.0050"), (-0.001, "%", "0.00"), (2.0, "%", "+2.00"), (-2.0, "%", "-2.00")],
)
def test_text(value: float, unit: str, text: str) -> None:
    assert summarise([value]).text(unit, signed=unit == "%") == text


def test_a_pair_cancels_what_a_seed_does_to_both() -> None:
    seeds = {0: 10.0, 1: -30.0, 2: 5.0}
    a, b = {s: x + 1.0 + 0.01 * s for s, x in seeds.items()}, seeds
    gap = paired(a, b)
    assert gap.mean == pytest.approx(1.01)
    assert gap.half is not None
    assert gap.half == pytest.approx(4.303 * 0.01 / math.sqrt(3), rel=1e-3)
    assert gap.clear
    assert not summarise(a.values()).clear


def test_only_common_seeds_count() -> None:
    assert paired({0: 1.0, 1: 5.0}, {1: 2.0, 7: 0.0}) == Summary(3.0, None, 1)
    assert paired({0: 1.0}, {1: 1.0}).text("%") == "-"
    assert paired({0: 1.0, 1: None}, {0: 1.0, 1: 1.0}).text("%") == "-"


@pytest.mark.parametrize(("mean", "half"), list(product((-1.0, 0.0, 1.0), (None, 0.5, 2.0))))
def test_clear_needs_an_interval_without_zero(mean: float, half: float | None) -> None:
    assert Summary(mean, half, 3).clear == (half == 0.5 and mean != 0)
