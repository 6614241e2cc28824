"""What a study left in its folder: rows, runs, and what several seeds say about them."""

import json
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tutelage.errors import UserError
from tutelage.report.statistics import Summary, paired, summarise
from tutelage.types import MetricInfo, MetricProtocol, Task

CONVENTIONS = {"main": "% ↑", "task_mean": "% ↑", "all_metrics": "% ↓"}  # of Delta: unit, and where it is better
SINGLE = "single"  # the single-task networks: a folder a task
TEACHER = "teacher"  # the teachers of another kind, where there are any: likewise
FEATURES = "features"  # teachers of another kind that do not predict: no run

Row = Mapping[str, Any]
_KEYS = ("seed", "split", "protocol", "metrics", "delta", "parameters", "seconds")  # of a row


class Results:
    """The folder of a study.

    Args:
        folder: with results.json and, as far as they are there, study.yaml and the runs.
        tasks: name -> task, for units and pictures.
        seeds: which are looked at; none: all.

    Raises:
        ValueError: There is no results.json, or it is something else.
    """

    def __init__(self, folder: Path, tasks: Mapping[str, Task], seeds: Collection[int] | None = None) -> None:
        self.folder, self.tasks = folder, tasks
        path = folder / "results.json"
        try:
            results = json.loads(path.read_text())
            self.study = str(results["study"])
            self.rows: list[Row] = [
                {**row, **{key: row[key] for key in _KEYS}, "method": str(row["method"])} for row in results["rows"]
            ]
        except FileNotFoundError:
            raise UserError(f"{path}: expected the results of a study, found no file; run the study first") from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: expected the results of a study, found something else ({error!r}); run the study again"
            ) from None
        self.rows = [row for row in self.rows if seeds is None or row["seed"] in seeds]
        if seeds is not None and not self.rows:
            raise UserError(f"--seeds: expected seeds with results in {path}, found none of {sorted(seeds)}")
        self.methods = list(dict.fromkeys(row["method"] for row in self.rows))  # in the order of the table
        self.seeds = sorted({row["seed"] for row in self.rows})
        self.split = self.rows[0]["split"] if self.rows else "val"

    @cached_property
    def values(self) -> dict[str, Any]:
        """The resolved study."""
        return _yaml(self.folder / "study.yaml")

    @property
    def protocol(self) -> MetricProtocol:
        """What the first table is of: `dataset`, unless the study does as the authors' scripts do."""
        train = self.values.get("train")
        return "image" if isinstance(train, dict) and train.get("official_quirks") else "dataset"

    @cached_property
    def teachers(self) -> dict[str, str]:
        """What the teacher of each task is to the methods that learn from one: `single`, `teacher` or `features`."""
        found = dict.fromkeys(self.tasks, SINGLE)
        for config in (self._config(m) for m in self.multi):
            if nets := config.get("teacher_net"):  # the same in all of them
                files = config.get("teachers") or {}
                found |= {t: FEATURES if files.get(t) == FEATURES else TEACHER for t in nets if t in found}
                break
        return found

    @property
    def multi(self) -> list[str]:
        """The methods of multi-task networks."""
        return [m for m in self.methods if m not in (SINGLE, TEACHER)]

    @property
    def references(self) -> list[str]:
        """The methods that the others are compared with, pair by pair: all but the controls."""
        return [m for m in self.methods if self.of(m, "dataset")[0].get("values") != "control"]

    def about(self, method: str) -> str:
        """The line that its runs' config has on a method: a later call may have had other methods."""
        return str(self._config(method).get("method", {}).get(method, {}).get("about", ""))

    def _config(self, method: str) -> dict[str, Any]:
        return _yaml(self.folder / method / f"seed{self.of(method, 'dataset')[0]['seed']}" / "config.yaml")

    def of(self, method: str, protocol: MetricProtocol) -> list[Row]:
        """The rows of a method, one a seed."""
        return [row for row in self.rows if row["method"] == method and row["protocol"] == protocol]

    def run(self, method: str, task: str) -> Path:
        """The folder of the first seed's network that does `task` by `method`."""
        seed = f"seed{self.seeds[0]}"
        if method not in (SINGLE, TEACHER):
            return self.folder / method / seed
        return self.folder / (SINGLE if method == SINGLE else self.teachers[task]) / task / seed


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


def difference(found: Results, a: str, b: str, protocol: MetricProtocol, convention: str) -> Summary:
    """Delta of method `a` minus Delta of method `b`, over the seeds that both have."""

    def by_seed(method: str) -> dict[int, float | None]:
        return {row["seed"]: row["delta"][convention] for row in found.of(method, protocol)}

    return paired(by_seed(a), by_seed(b))


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
