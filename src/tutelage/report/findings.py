"""What a study left in its folder: rows, runs, and what several seeds say together."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import NormalDist, fmean, stdev
from typing import Any

import yaml

from tutelage.types import MetricInfo, MetricProtocol, Task

SINGLE = "single"  # the single-task networks: a folder a task

Row = Mapping[str, Any]

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


def _t(freedom: int) -> float:
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = NormalDist().inv_cdf(0.975)  # Fisher and Cornish's expansion around the normal quantile
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


class Findings:
    """The folder of a study.

    Args:
        folder: with results.json and, as far as they are there, study.yaml and the runs.
        tasks: name -> task, for units and pictures.

    Raises:
        ValueError: There is no results.json, or it is something else.
    """

    def __init__(self, folder: Path, tasks: Mapping[str, Task]) -> None:
        self.folder, self.tasks = folder, tasks
        path = folder / "results.json"
        try:
            results = json.loads(path.read_text())
            self.study = str(results["study"])
            self.rows: list[Row] = [{**row, "method": str(row["method"])} for row in results["rows"]]
        except FileNotFoundError:
            raise ValueError(f"{path}: expected the results of a study, found no file; run the study first") from None
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}: expected the results of a study, found something else ({error!r}); run the study again"
            ) from None
        self.methods = list(dict.fromkeys(row["method"] for row in self.rows))  # in the order of the table
        self.seeds = sorted({row["seed"] for row in self.rows})
        self.split = self.rows[0]["split"] if self.rows else "val"

    @cached_property
    def values(self) -> dict[str, Any]:
        """The resolved study."""
        return _yaml(self.folder / "study.yaml")

    def about(self, method: str) -> str:
        """The line that its runs' config has on a method: a later call may have had other methods."""
        config = _yaml(self.folder / method / f"seed{self.of(method, 'dataset')[0]['seed']}" / "config.yaml")
        return str(config.get("method", {}).get(method, {}).get("about", ""))

    def of(self, method: str, protocol: MetricProtocol) -> list[Row]:
        """The rows of a method, one a seed."""
        return [row for row in self.rows if row["method"] == method and row["protocol"] == protocol]

    def run(self, method: str, task: str) -> Path:
        """The folder of the first seed's network that does `task` by `method`."""
        return self.folder / method / (task if method == SINGLE else "") / f"seed{self.seeds[0]}"


def _yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}


def metric(rows: list[Row], task: str, name: str) -> Summary:
    """A metric over the seeds of `rows`."""
    return summarise(row["metrics"].get(task, {}).get(name) for row in rows)


def delta(rows: list[Row], convention: str) -> Summary:
    """A Delta over the seeds of `rows`."""
    return summarise(row["delta"][convention] for row in rows)


def unit(info: MetricInfo) -> str:
    """The unit with an arrow to where it is better: `% ↑`."""
    return f"{info.unit} {'↑' if info.higher_is_better else '↓'}".strip()


def count(number: int) -> str:
    """A number of parameters in three digits.

    >>> count(25_055_185), count(512_345), count(999)
    ('25.1 M', '512 k', '999')
    """
    for factor, name in ((1e6, " M"), (1e3, " k")):
        if number >= factor:
            return f"{number / factor:.3g}{name}"
    return str(number)
