"""The tables of a study as plain values: built once, rendered for the terminal, for a document and for the page."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isnan
from typing import Literal

from tutelage.layout import SINGLE
from tutelage.report.compute import student_steps
from tutelage.report.results import Results
from tutelage.report.rows import CONVENTIONS
from tutelage.report.statistics import Summary
from tutelage.types import MetricProtocol

Verdict = Literal["", "better", "worse"]  # what a paired interval without 0 in it says; empty: it says nothing
Kind = Literal["values", "seeds", "delta", "metric", "parameters", "compute", "difference", "words", "number"]


@dataclass(frozen=True)
class Column:
    """What a column shows.

    Attributes:
        kind: by which a renderer chooses its columns; `words` and `values` are text, the others numbers.
        name: a line break in it is one in the heading.
        group: the heading above several columns: a task, or Delta.
        unit: "%", "m", ...
        better: "↑" or "↓": which way is better.
        main: the column stands for its group.
    """

    kind: Kind
    name: str
    group: str = ""
    unit: str = ""
    better: str = ""
    main: bool = False

    @property
    def mark(self) -> str:
        """The unit with an arrow to where it is better: `% ↑`."""
        return f"{self.unit} {self.better}".strip()

    @property
    def is_text(self) -> bool:
        """Whether the cells are words."""
        return self.kind in ("values", "words")


@dataclass(frozen=True)
class Cell:
    """The text of a cell, the shorter text without an interval, what it is emphasised for, and what it is sorted by."""

    text: str
    short: str
    strong: Verdict = ""
    value: float | None = None


@dataclass(frozen=True)
class Line:
    """A line of a table: a method, what has to be added to its name, and one cell per column."""

    name: str
    note: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class TableModel:
    """A table of methods."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]

    def select(self, columns: Iterable[Column]) -> "TableModel":
        """The same table with these of its columns, in this order."""
        chosen = tuple(columns)
        places = [self.columns.index(column) for column in chosen]
        lines = (replace(line, cells=tuple(line.cells[i] for i in places)) for line in self.lines)
        return TableModel(chosen, tuple(lines))

    def of_kind(self, *kinds: Kind) -> list[Column]:
        """The columns of these kinds."""
        return [column for column in self.columns if column.kind in kinds]

    @property
    def groups(self) -> list[tuple[str, list[Column]]]:
        """Neighbouring columns with the same group."""
        groups: list[tuple[str, list[Column]]] = []
        for column in self.columns:
            if not groups or groups[-1][0] != column.group:
                groups.append((column.group, []))
            groups[-1][1].append(column)
        return groups


def text_cell(text: str, value: float | None = None) -> Cell:
    """A cell that is no summary of several values."""
    return Cell(text, text, value=value)


def summary_cell(summary: Summary, unit: str, signed: bool = False, strong: Verdict = "") -> Cell:
    """Mean and interval, with the digits of the unit."""
    value = None if isnan(summary.mean) else summary.mean
    return Cell(summary.text(unit, signed), summary.without_interval().text(unit, signed), strong, value)


def steps_cell(steps: float | None) -> Cell:
    """The compute of a training, in steps of the student."""
    return text_cell("-" if steps is None else f"{steps:,.0f}", steps)


def verdict(gap: Summary, better: str) -> Verdict:
    """What paired differences show: nothing, unless their 95 % interval excludes 0.

    Args:
        gap: of the differences.
        better: "↑" or "↓": which way is better.

    >>> verdict(Summary(0.5, 0.2, 3), "↑"), verdict(Summary(0.5, 0.2, 3), "↓"), verdict(Summary(0.5, 0.6, 3), "↑")
    ('better', 'worse', '')
    """
    if not gap.clear:
        return ""
    return "better" if (gap.mean > 0) == (better == "↑") else "worse"


def metric_table(results: Results, protocol: MetricProtocol) -> TableModel:
    """All columns that a table of methods against metrics may have.

    A value is emphasised where the 95 % interval of its differences from what Delta compares with, at the same seeds,
    excludes 0. Delta is such a difference.
    """
    columns = [Column("values", "values"), Column("seeds", "seeds")]
    columns += [Column("delta", name, "Delta", "%", better, name == "main") for name, better in CONVENTIONS.items()]
    for t, task in results.tasks.items():
        for name, info in task.metric_info.items():
            better = "↑" if info.higher_is_better else "↓"
            columns.append(Column("metric", name, t, info.unit, better, name == task.main))
    columns.append(Column("parameters", "params", "cost"))
    if any(student_steps(results, m) is not None for m in results.methods):
        columns.append(Column("compute", "training", "cost", "steps"))
    lines = (
        Line(m, _fewer(results, m), tuple(_metric_cell(results, m, protocol, column) for column in columns))
        for m in results.methods
    )
    return TableModel(tuple(columns), tuple(lines))


def _metric_cell(results: Results, method: str, protocol: MetricProtocol, column: Column) -> Cell:
    if column.kind == "delta":
        delta = results.delta(method, protocol, column.name)
        return summary_cell(delta, "%", signed=True, strong=verdict(delta, column.better))
    if column.kind == "metric":
        gap = results.metric_difference(method, results.base or SINGLE, protocol, column.group, column.name)
        values = results.metric(method, protocol, column.group, column.name)
        return summary_cell(values, column.unit, strong=verdict(gap, column.better))
    if column.kind == "seeds":
        return text_cell(str(len(results.of(method, protocol))))
    if column.kind == "compute":
        return steps_cell(student_steps(results, method))
    row = results.first(method)
    return text_cell(row.values) if column.kind == "values" else text_cell(count(row.parameters), row.parameters)


def _fewer(results: Results, method: str) -> str:
    seeds = len({row.seed for row in results.rows if row.method == method})
    return f"({seeds} of {len(results.seeds)} seeds)" if seeds < len(results.seeds) else ""


def difference_table(results: Results, protocol: MetricProtocol, convention: str) -> TableModel:
    """Delta of each method minus that of each method that is no control, pair by pair of the same seed.

    Emphasised where the 95 % interval does not include 0; empty where a method would be compared with itself.
    """
    columns = tuple(Column("difference", b, "minus", "%", CONVENTIONS[convention]) for b in results.references)
    lines = (
        Line(a, "", tuple(_difference_cell(results, a, b, protocol, convention) for b in results.references))
        for a in results.methods
    )
    return TableModel(columns, tuple(lines))


def _difference_cell(results: Results, a: str, b: str, protocol: MetricProtocol, convention: str) -> Cell:
    if a == b:
        return text_cell("")
    gap = results.difference(a, b, protocol, convention)
    return summary_cell(gap, "%", signed=True, strong=verdict(gap, CONVENTIONS[convention]))


def seed_table(results: Results) -> TableModel:
    """Delta main of each seed."""
    columns = tuple(Column("number", f"seed {seed}") for seed in results.seeds)
    lines: list[Line] = []
    for method in results.methods:
        if method != results.base:
            gains = results.deltas(method, results.protocol, "main")
            values = (gains.get(seed) for seed in results.seeds)
            cells = tuple(text_cell("" if gain is None else f"{gain:+.2f}", gain) for gain in values)
            lines.append(Line(method, "", cells))
    return TableModel(columns, tuple(lines))


def count(number: float) -> str:
    """A number of parameters or operations in three digits.

    >>> count(25_055_185), count(512_345), count(999), count(999_900), count(1_500_000_000)
    ('25.1 M', '512 k', '999', '1 M', '1.5 G')
    """
    for factor, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= 0.9995 * factor:  # with three digits it is 1 of the larger unit
            return f"{number / factor:.3g}{name}"
    return f"{number:.0f}"
