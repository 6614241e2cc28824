"""Several studies, or methods of one, beside each other: what differs in their configs and in their results."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tutelage.errors import UserError, printable
from tutelage.layout import SINGLE, TEACHER
from tutelage.metrics import deltas
from tutelage.report.left_out import left_out
from tutelage.report.results import Results
from tutelage.report.rows import Row
from tutelage.report.run_files import read_mapping
from tutelage.report.statistics import Summary, paired, summarise
from tutelage.report.tables import Cell, Column, Line, TableModel, summary_cell, text_cell, verdict
from tutelage.types import MetricProtocol, Task

_NAMES = ("study", "out", "methods", "seeds")  # keys of a study that say nothing of how a network is trained
_MOST = 60  # characters of a value


@dataclass(frozen=True)
class Side:
    """What one argument names: a study, or one method of it."""

    name: str
    results: Results
    method: str | None

    @property
    def methods(self) -> list[str]:
        """The methods whose results are compared."""
        own = [m for m in self.results.methods if m != TEACHER]
        return own if self.method is None else [self.method]


@dataclass(frozen=True)
class Pair:
    """A method, and the one that it is compared with; None for those of the first argument."""

    side: Side
    method: str
    reference: tuple[Side, str] | None


class Comparison:
    """The first folder and what the others have in place of it.

    The gain of a method over another one, at one seed, is Delta main with the other's values in place of those of the
    single-task networks: the mean over the tasks of 100 s (M - M') / M', where M and M' are the main metrics and s is
    +1 where higher is better, else -1.

    Args:
        folders: of studies, or of methods in them such as runs/rooms/kd4mtl. A method is compared with the one of the
            same name in the first folder, or with that folder's method.
        tasks: Task name -> task, of the first study.

    Raises:
        UserError: A folder is neither, names a method without results, or has no task in common with the first.
    """

    def __init__(self, folders: Sequence[Path], tasks: Mapping[str, Task]) -> None:
        self.sides = [_side(folder, tasks, [str(f) for f in folders]) for folder in folders]
        first = self.sides[0].results
        self.protocol: MetricProtocol = first.protocol
        self.tasks = dict(tasks)
        for folder, side in zip(folders, self.sides, strict=True):
            own = {t for row in side.results.rows for t in row.metrics}
            self.tasks = {t: task for t, task in self.tasks.items() if t in own}
            if not self.tasks:
                raise UserError(
                    f"{folder}: expected a task of {folders[0]} ({', '.join(tasks)}), found {', '.join(sorted(own))}; "
                    "compare studies that share a task"
                )

    @cached_property
    def pairs(self) -> list[Pair]:
        """All methods, those of the first folder first."""
        first = self.sides[0]
        pairs = [Pair(first, m, None) for m in first.methods]
        for side in self.sides[1:]:
            for m in side.methods:
                reference = m if m in first.methods else first.method
                pairs.append(Pair(side, m, None if reference is None else (first, reference)))
        return pairs

    @property
    def notes(self) -> list[str]:
        """Why the numbers may not be comparable, a line each."""
        notes = [f"{side.name}: {note}" for side in self.sides if (note := left_out(side.results))]
        first = self.sides[0]
        for side in self.sides[1:]:
            if side.results.split != first.results.split:
                notes.append(f"{side.name} reports the split {side.results.split}, not {first.results.split}")
            if (data := _fingerprint(side.results)) != _fingerprint(first.results) or data is None:
                notes.append(f"{side.name} has other data than {first.name}, or data that are not known to be the same")
            if not set(side.results.seeds) & set(first.results.seeds):
                notes.append(f"{side.name} has no seed of {first.name}: no paired difference exists")
        return notes

    def settings(self) -> TableModel:
        """Every key of the configs whose values differ."""
        sides = [dict(_flat(_config(side))) for side in self.sides]
        keys = dict.fromkeys(key for values in sides for key in values)
        lines = [
            Line(printable(key), "", tuple(text_cell(_short(values.get(key, "-"))) for values in sides))
            for key in keys
            if len({repr(values.get(key, "-")) for values in sides}) > 1
        ]
        return TableModel(tuple(Column("words", side.name) for side in self.sides), tuple(lines))

    def values(self) -> TableModel:
        """The main metric of every task: mean and interval over the seeds."""
        columns = [Column("seeds", "seeds")]
        for t, task in self.tasks.items():
            info = task.metric_info[task.main]
            columns.append(Column("metric", task.main, t, info.unit, "↑" if info.higher_is_better else "↓", True))
        lines = []
        for pair in self.pairs:
            cells = [text_cell(str(len(self._rows(pair.side, pair.method))))]
            for t, task in self.tasks.items():
                values = self._metric(pair.side, pair.method, t).values()
                cells.append(summary_cell(summarise(values), task.metric_info[task.main].unit))
            lines.append(Line(self._label(pair), "", tuple(cells)))
        return TableModel(tuple(columns), tuple(lines))

    def differences(self) -> TableModel:
        """Each method minus the one that it is compared with, over the seeds that both have, and its gain."""
        columns = [Column("words", "minus")]
        for t, task in self.tasks.items():
            info = task.metric_info[task.main]
            columns.append(Column("difference", task.main, t, info.unit, "↑" if info.higher_is_better else "↓"))
        columns.append(Column("difference", "main", "gain", "%", "↑"))
        lines = []
        for pair in self.pairs:
            if pair.reference is None:
                continue
            side, method = pair.reference
            cells = [text_cell(printable(f"{side.name} {method}"))]
            for t, task in self.tasks.items():
                gap = paired(self._metric(pair.side, pair.method, t), self._metric(side, method, t))
                cells.append(_difference_cell(gap, *task.metric_info[task.main]))
            gain = self.gain(pair.side, pair.method, side, method)
            lines.append(Line(self._label(pair), "", (*cells, _difference_cell(gain, "%", higher_is_better=True))))
        return TableModel(tuple(columns), tuple(lines))

    def gain(self, side: Side, method: str, other: Side, reference: str) -> Summary:
        """The gain of a method over another one, over the seeds that both have."""
        own, base = self._rows(side, method), self._rows(other, reference)
        gains: list[float | None] = []
        for seed in sorted(own.keys() & base.keys()):
            values, single = (_numbers(rows[seed]) for rows in (own, base))
            gains.append(deltas(values, single, self.tasks)["main"])
        return summarise(gains)

    def _label(self, pair: Pair) -> str:
        return printable(f"{pair.side.name} {pair.method}")

    def _rows(self, side: Side, method: str) -> dict[int, Row]:
        return {row.seed: row for row in side.results.of(method, self.protocol)}

    def _metric(self, side: Side, method: str, task: str) -> dict[int, float | None]:
        name = self.tasks[task].main
        return {seed: row.metrics.get(task, {}).get(name) for seed, row in self._rows(side, method).items()}


def _difference_cell(gap: Summary, unit: str, higher_is_better: bool) -> Cell:
    return summary_cell(gap, unit, signed=True, strong=verdict(gap, "↑" if higher_is_better else "↓"))


def _side(folder: Path, tasks: Mapping[str, Task], all_names: Sequence[str]) -> Side:
    study, method = folder, None
    if not (folder / "results.json").is_file() and (folder.parent / "results.json").is_file():
        study, method = folder.parent, folder.name
    results = Results(study, tasks)
    if method is not None and (method not in results.methods or method == TEACHER):
        own = ", ".join(m for m in results.methods if m != TEACHER)
        raise UserError(f"{folder}: expected a method with results ({own}), found `{method}`; name one of these")
    names = [Path(name).resolve() for name in all_names]
    same = sum(other.name == study.name and other != study.resolve() for other in names)
    return Side(str(study) if same else study.resolve().name, results, method)


def _config(side: Side) -> dict[str, Any]:
    """What a side's config says of the networks that are compared."""
    values = {key: value for key, value in side.results.values.items() if key not in _NAMES}
    definitions = values.pop("method", None)
    definitions = definitions if isinstance(definitions, dict) else {}
    if side.method is not None:
        return {**values, "method": definitions.get(side.method, {})}
    return {**values, "method": {m: definitions[m] for m in side.methods if m in definitions and m != SINGLE}}


def _flat(values: Any, key: str = "") -> Iterator[tuple[str, object]]:
    """The values of a nested config by their full keys."""
    if isinstance(values, dict) and values:
        for name, value in values.items():
            yield from _flat(value, f"{key}.{name}" if key else str(name))
    else:
        yield key.replace(".init_args.", "."), values


def _short(value: object) -> str:
    text = printable("null" if value is None else str(value))
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"


def _fingerprint(results: Results) -> str | None:
    """Of the data that the first run of a study was trained on."""
    files = sorted(results.folder.glob("*/**/environment.json"))
    return next((str(data) for file in files if (data := read_mapping(file).get("data"))), None)


def _numbers(row: Row) -> dict[str, dict[str, float]]:
    return {t: {m: x for m, x in values.items() if x is not None} for t, values in row.metrics.items()}
