"""The tables of a study as plain values: built once, rendered for the terminal, for a document and for the page."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from tutelage.layout import SINGLE
from tutelage.report.results import Results
from tutelage.report.rows import CONVENTIONS
from tutelage.report.statistics import Summary
from tutelage.types import MetricProtocol

Kind = Literal["values", "seeds", "delta", "metric", "parameters", "minutes", "difference", "words", "number"]


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
    """The text of a cell, the shorter text without an interval, and whether it is emphasised."""

    text: str
    short: str
    strong: bool = False


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


def text_cell(text: str, strong: bool = False) -> Cell:
    """A cell that is no summary of several values."""
    return Cell(text, text, strong)


def summary_cell(summary: Summary, unit: str, signed: bool = False, strong: bool = False) -> Cell:
    """Mean and interval, with the digits of the unit."""
    return Cell(summary.text(unit, signed), summary.without_interval().text(unit, signed), strong)


def metric_table(results: Results, protocol: MetricProtocol) -> TableModel:
    """All columns that a table of methods against metrics may have."""
    columns = [Column("values", "values"), Column("seeds", "seeds")]
    columns += [Column("delta", name, "Delta", "%", better, name == "main") for name, better in CONVENTIONS.items()]
    for t, task in results.tasks.items():
        for name, info in task.metric_info.items():
            better = "↑" if info.higher_is_better else "↓"
            columns.append(Column("metric", name, t, info.unit, better, name == task.main))
    columns += [Column("parameters", "parameters", "cost"), Column("minutes", "training", "cost", "min")]
    lines = (
        Line(m, _fewer(results, m), tuple(_metric_cell(results, m, protocol, column) for column in columns))
        for m in results.methods
    )
    return TableModel(tuple(columns), tuple(lines))


def _metric_cell(results: Results, method: str, protocol: MetricProtocol, column: Column) -> Cell:
    if column.kind == "delta":
        return summary_cell(results.delta(method, protocol, column.name), "%", signed=True)
    if column.kind == "metric":
        return summary_cell(results.metric(method, protocol, column.group, column.name), column.unit)
    rows = results.of(method, protocol)
    if column.kind == "seeds":
        return text_cell(str(len(rows)))
    if column.kind == "minutes":
        return text_cell(f"{sum(row.seconds for row in rows) / 60 / len(rows):.1f}" if rows else "-")
    row = results.first(method)
    return text_cell(row.values if column.kind == "values" else count(row.parameters))


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
    return summary_cell(gap, "%", signed=True, strong=gap.clear)


def seed_table(results: Results) -> TableModel:
    """Delta main of each seed."""
    columns = tuple(Column("number", f"seed {seed}") for seed in results.seeds)
    lines: list[Line] = []
    for method in results.methods:
        if method != SINGLE:
            gains = results.deltas(method, results.protocol, "main")
            values = (gains.get(seed) for seed in results.seeds)
            cells = tuple(text_cell("" if gain is None else f"{gain:+.2f}") for gain in values)
            lines.append(Line(method, "", cells))
    return TableModel(columns, tuple(lines))


def count(number: int) -> str:
    """A number of parameters in three digits.

    >>> count(25_055_185), count(512_345), count(999)
    ('25.1 M', '512 k', '999')
    """
    for factor, name in ((1e6, " M"), (1e3, " k")):
        if number >= factor:
            return f"{number / factor:.3g}{name}"
    return str(number)
