import math
from pathlib import Path

import pytest
import torch
from tests.report.folder import TASKS, write

from tutelage.report import Summary, summarise
from tutelage.report.findings import Findings


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


@pytest.mark.parametrize("text", [None, "{", "[]", '{"rows": 3}', '{"study": "x"}', '{"study": "x", "rows": [3]}'])
def test_a_folder_without_results_is_one_line(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match=r"results\.json: expected the results of a study, found") as error:
        Findings(tmp_path, TASKS)
    assert "\n" not in str(error.value)


def test_methods_and_seeds(tmp_path: Path) -> None:
    found = Findings(write(tmp_path, seeds=(2, 0)), TASKS)
    assert found.methods == ["single", "uniform", "kd4mtl"]
    assert found.seeds == [0, 2]
    assert [row["seed"] for row in found.of("kd4mtl", "image")] == [2, 0]
    assert found.run("single", "depth") == tmp_path / "single/depth/seed0"
    assert found.run("kd4mtl", "depth") == tmp_path / "kd4mtl/seed0"
