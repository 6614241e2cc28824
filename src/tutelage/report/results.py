"""What a study left in its folder: rows, runs, and what the values of several seeds have in common."""

from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from tutelage.errors import UserError
from tutelage.layout import DATA, SINGLE, TAUGHT_BY, TEACHER
from tutelage.report.rows import Row, read_rows
from tutelage.report.run_files import Log, Teacher, keys, read_log, read_mapping, read_teachers, single_teacher
from tutelage.report.statistics import Summary, paired, summarise
from tutelage.types import MetricProtocol, Task
from tutelage.types.look import Look

_BASES = {SINGLE: "the single-task networks of the same seed", TEACHER: "the teachers"}


class Results:
    """The folder of a study. It is read on any machine: no network and no teacher is built.

    Args:
        folder: with results.json and, as far as they are there, study.yaml and the runs.
        tasks: Task name -> task, for units and pictures.
        seeds: the seeds to read; None: all.

    Raises:
        UserError: There is no results.json, or it holds something else, or none of `seeds` is in it.
    """

    def __init__(self, folder: Path, tasks: Mapping[str, Task], seeds: Collection[int] | None = None) -> None:
        self.folder, self.tasks, self.asked = folder, tasks, seeds
        path = folder / "results.json"
        self.study, rows = read_rows(path)
        self.rows = [row for row in rows if seeds is None or row.seed in seeds]
        if seeds is not None and not self.rows:
            raise UserError(f"--seeds: expected seeds with results in {path}, found none of {sorted(seeds)}")
        self.methods = list(dict.fromkeys(row.method for row in self.rows))  # in the order of the table
        self.seeds = sorted({row.seed for row in self.rows})
        self.split = self.rows[0].split if self.rows else "val"

    @cached_property
    def values(self) -> dict[str, Any]:
        """The resolved study."""
        return read_mapping(self.folder / "study.yaml")

    @property
    def protocol(self) -> MetricProtocol:
        """The protocol of the first table: `dataset`, or `image` where the study follows the authors' scripts."""
        train = self.values.get("train")
        return "image" if isinstance(train, dict) and train.get("official_quirks") else "dataset"

    @property
    def base(self) -> str | None:
        """The method that Delta compares with: the single-task networks, or given teachers (`tutelage.distill`)."""
        return next((method for method in _BASES if method in self.methods), None)

    @property
    def compared_with(self) -> str:
        """The same in words; "nothing" where there is neither."""
        return "nothing" if self.base is None else _BASES[self.base]

    @property
    def selection(self) -> str:
        """Which weights were evaluated, for the table, where they are not the last ones of the training."""
        train = self.values.get("train")
        if not isinstance(train, dict) or train.get("keep") != "best":
            return ""
        return f"best epoch on {_percent(train.get('validation'))} of train"

    @cached_property
    def look(self) -> Look | None:
        """What was seen of the data before training; None where there is no record, or one of another version."""
        try:
            return Look.of(read_mapping(self.folder / DATA))
        except ValueError:
            return None

    @property
    def labelled(self) -> str:
        """How many test images have a label of each task: `depth 9, segmentation 8`; empty where nobody counted."""
        counts: dict[str, int] = {}
        for summary in () if self.look is None or self.split != "test" else self.look.labels:
            if summary.split == self.split and summary.label in self.tasks:
                if summary.looked_at != summary.samples:
                    return ""
                counts[summary.label] = counts.get(summary.label, 0) + summary.files
        return ", ".join(f"{t} {counts[t]}" for t in self.tasks) if len(counts) == len(self.tasks) else ""

    @property
    def protocols(self) -> list[MetricProtocol]:
        """All protocols, that of the first table first."""
        return sorted(get_args(MetricProtocol), key=lambda protocol: protocol != self.protocol)

    @property
    def multi_task(self) -> list[str]:
        """The methods that train one network for all tasks."""
        return [m for m in self.methods if m not in (SINGLE, TEACHER)]

    @property
    def references(self) -> list[str]:
        """The methods that the others are compared with, pair by pair: all but the controls."""
        return [m for m in self.methods if self.first(m).values != "control"]

    def first(self, method: str) -> Row:
        """The first row of a method, for what does not depend on the protocol."""
        return next(row for row in self.rows if row.method == method)

    def of(self, method: str, protocol: str) -> list[Row]:
        """The rows of a method, one per seed."""
        return [row for row in self.rows if row.method == method and row.protocol == protocol]

    def metric(self, method: str, protocol: str, task: str, name: str) -> Summary:
        """A metric of a method over its seeds."""
        return summarise(row.metrics.get(task, {}).get(name) for row in self.of(method, protocol))

    def metric_difference(self, a: str, b: str, protocol: str, task: str, name: str) -> Summary:
        """A metric of method `a` minus that of method `b`, over the seeds that both have."""
        values = ({row.seed: row.metrics.get(task, {}).get(name) for row in self.of(m, protocol)} for m in (a, b))
        return paired(*values)

    def delta(self, method: str, protocol: str, convention: str) -> Summary:
        """Delta of a method over its seeds."""
        return summarise(self.deltas(method, protocol, convention).values())

    def deltas(self, method: str, protocol: str, convention: str) -> dict[int, float | None]:
        """Delta of a method at each of its seeds."""
        return {row.seed: row.delta[convention] for row in self.of(method, protocol)}

    def difference(self, a: str, b: str, protocol: str, convention: str) -> Summary:
        """Delta of method `a` minus Delta of method `b`, over the seeds that both have."""
        return paired(self.deltas(a, protocol, convention), self.deltas(b, protocol, convention))

    def about(self, method: str) -> str:
        """What the config of the method's runs says about it; study.yaml may be that of a later call without it."""
        return str(self._definition(method).get("about", ""))

    def distils(self, method: str) -> bool:
        """Whether the method has a distiller, by the config of its runs."""
        return bool(self._definition(method).get("distiller"))

    def _definition(self, method: str) -> dict[str, Any]:
        for row in self.of(method, self.protocol):
            methods = read_mapping(self._folder(method, row.seed) / "config.yaml").get("method")
            values = methods.get(method) if isinstance(methods, dict) else None
            if isinstance(values, dict):
                return values
        return {}

    @cached_property
    def teachers(self) -> dict[str, Teacher]:
        """The teachers of the study's runs by name, in the order of the tasks; one per task where no run says more."""
        teachers: dict[str, Teacher] = {}
        for method in self.multi_task:
            teachers = read_teachers(self._folder(method, self.first(method).seed), method) | teachers
        teachers = teachers or {t: single_teacher(t) for t in self.tasks}
        return {name: teachers[name] for name in dict.fromkeys([*self.tasks, *teachers]) if name in teachers}

    @cached_property
    def multi_task_logs(self) -> dict[str, Log]:
        """The logs of the first seed's multi-task networks by method."""
        return {m: read_log(self._folder(m, self.seeds[0]) / "log.jsonl") for m in self.multi_task}

    @cached_property
    def teacher_names(self) -> list[str]:
        """The names of the teachers, with those that only the logs of distances tell."""
        names = list(self.teachers)
        for log in self.multi_task_logs.values():
            for key in keys(log, "distance/"):
                if not any(key.startswith(f"distance/{name}/") for name in names):
                    names.append(key.split("/")[1])
        return names

    def run(self, method: str, task: str) -> Path | None:
        """The folder of the first seed's network that does `task` by `method`; None where there is none."""
        if method == SINGLE:
            return self._folder(f"{SINGLE}/{task}", self.seeds[0])
        if method != TEACHER:
            return self._folder(method, self.seeds[0])
        of_study = (teacher for teacher in self.teachers.values() if teacher.kind != TAUGHT_BY)
        runs = (teacher.runs for teacher in of_study if task in teacher.tasks)
        return next((self._folder(folder, self.seeds[0]) for folder in runs if folder is not None), None)

    def log(self, method: str, task: str) -> Log:
        """The log of the run in `run`; empty where there is none."""
        if method in self.multi_task_logs:
            return self.multi_task_logs[method]
        run = self.run(method, task)
        return [] if run is None else read_log(run / "log.jsonl")

    def _folder(self, method: str, seed: int) -> Path:
        return self.folder / method / f"seed{seed}"


def _percent(part: Any) -> str:
    return f"{100 * part:g} %" if isinstance(part, int | float) else "a part"
