"""A study's tables on a terminal."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tutelage.report.collapsed import collapsed
from tutelage.report.compare import Comparison
from tutelage.report.conclusion import conclusion
from tutelage.report.left_out import left_out
from tutelage.report.results import Results
from tutelage.report.tables import Column, Kind, TableModel, difference_table, metric_table
from tutelage.types import Task

WIDE = 10_000  # columns of a file: all of a table fit
_NOTES: Mapping[Kind, str] = {
    "values": "values: where a method's settings come from",
    "compute": "training: in plain steps of the student, its teachers' included",
}


def tables(
    folder: Path, tasks: Mapping[str, Task], width: int = 80, seeds: Collection[int] | None = None
) -> list[Table | Text]:
    """The tables of a study's results, of all seeds or of some, and what they show.

    Raises:
        UserError: There is no results.json in `folder`.
    """
    optional = (differences(folder, tasks, width, seeds), sentence(folder, tasks, seeds))
    results = Results(folder, tasks, seeds)
    shown = [table(folder, tasks, width, seeds), *(one for one in optional if one is not None)]
    return [*shown, *(Text(note, style="bold") for note in (left_out(results), collapsed(results)) if note)]


def table(folder: Path, tasks: Mapping[str, Task], width: int = 80, seeds: Collection[int] | None = None) -> Table:
    """Methods against metrics, with Delta against the single-task networks of each seed.

    In the dataset protocol, unless the study has `official_quirks`. Several seeds give mean ± half the 95 % interval.
    Bold: the 95 % interval of the differences from the single-task networks of the same seeds does not include 0.
    Where `width` columns are not enough for all metrics, each task is represented by its main one; after that the
    numbers of parameters and the compute are left out, then the origin of the values, and the intervals last; a line
    below says how many columns are missing.

    Raises:
        UserError: There is no results.json in `folder`.
    """
    results = Results(folder, tasks, seeds)
    model = metric_table(results, results.protocol)
    metrics, cost = model.of_kind("metric"), model.of_kind("parameters", "compute")
    main = [column for column in metrics if column.main]
    values = model.of_kind("values")
    delta = [column for column in model.of_kind("delta") if column.main]
    stages: Sequence[list[Column]] = (
        [*values, *metrics, *delta, *cost],
        [*values, *main, *delta, *cost],
        [*values, *main, *delta],
        [*main, *delta],
    )
    for columns in stages:
        rendered = _metrics(results, model.select(columns), True, len(stages[0]) - len(columns))
        if _width(rendered) <= width:
            return rendered
    return _metrics(results, model.select(stages[-1]), False, len(stages[0]) - len(stages[-1]))


def _metrics(results: Results, model: TableModel, intervals: bool, missing: int) -> Table:
    seeds = len(results.seeds)
    over = "1 seed, no interval"
    if seeds > 1:
        bold = f"; bold: differs from {results.base}" if results.base else ""
        over = f"{seeds} seeds, mean{' ± 95 % interval' if intervals else ''}{bold}"
    chosen = f", {results.selection}" if results.selection else ""
    counted = f"; labelled {results.split} images: {results.labelled}" if results.labelled else ""
    rendered = _empty(f"{results.study}: split {results.split}, {results.protocol} protocol, {over}{chosen}{counted}")
    for group, columns in model.groups:
        for index, column in enumerate(columns):
            if column.kind == "values":
                rendered.add_column(Text(column.name), no_wrap=True, vertical="bottom", style="dim")
            else:
                heading = f"{group if index == 0 else ''}\n{column.name}\n{column.mark}"
                rendered.add_column(Text(heading), justify="right", no_wrap=True)
    notes = [note for kind, note in _NOTES.items() if model.of_kind(kind)]
    rendered.caption = Text("; ".join([*notes, *_elsewhere(missing)]))
    for line in model.lines:
        cells = (Text(cell.text if intervals else cell.short, "bold" if cell.strong else "") for cell in line.cells)
        rendered.add_row(Text(f"{line.name} {line.note}".rstrip()), *cells)
    return rendered


def differences(
    folder: Path, tasks: Mapping[str, Task], width: int = 80, seeds: Collection[int] | None = None
) -> Table | None:
    """Delta main of each method minus that of the others, pair by pair of the same seed; None for a single seed.

    Controls are compared and are no reference. As many references as fit into `width` columns are shown, and a line
    below says how many are missing. Bold: the 95 % interval does not include 0.

    Raises:
        UserError: There is no results.json in `folder`.
    """
    results = Results(folder, tasks, seeds)
    if len(results.seeds) <= 1 or len(results.methods) < 3:
        return None
    model = difference_table(results, results.protocol, "main")
    references = len(model.columns)
    while len(model.columns) > 1 and _width(_differences(model)) > width:
        model = model.select(model.columns[:-1])
    rendered = _differences(model)
    rendered.caption = Text("".join(_elsewhere(references - len(model.columns))))
    return rendered


def _differences(model: TableModel) -> Table:
    rendered = _empty("differences of Delta main in %, same seeds: mean ± 95 % interval; bold: 0 is not in it")
    for column in model.columns:
        rendered.add_column(Text(f"{column.group}\n{column.name}"), justify="right", no_wrap=True)
    for line in model.lines:
        cells = (Text(cell.text, style="bold" if cell.strong else "") for cell in line.cells)
        rendered.add_row(Text(line.name), *cells)
    return rendered


def sentence(folder: Path, tasks: Mapping[str, Task], seeds: Collection[int] | None = None) -> Text | None:
    """What the study shows, in one sentence; None where nothing can be compared.

    Raises:
        UserError: There is no results.json in `folder`.
    """
    text = conclusion(Results(folder, tasks, seeds))
    return Text(text) if text else None


def compared(comparison: Comparison) -> list[Table]:
    """What differs in the configs, the main metrics, and the paired differences."""
    titles = {
        "what differs in the configs": comparison.settings(),
        f"main metrics, {comparison.protocol} protocol: mean ± 95 % interval": comparison.values(),
        "differences, same seeds: mean ± 95 % interval; bold: 0 is not in it": comparison.differences(),
    }
    return [_compared(title, model) for title, model in titles.items() if model.lines]


def _compared(title: str, model: TableModel) -> Table:
    rendered = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    rendered.add_column(Text("key" if all(c.kind == "words" for c in model.columns) else "method"), overflow="fold")
    for column in model.columns:
        heading = "\n".join(part for part in (column.group, column.name, column.mark) if part)
        justify: Literal["left", "right"] = "left" if column.is_text else "right"
        rendered.add_column(Text(heading), justify=justify, overflow="fold", vertical="top")
    for line in model.lines:
        cells = (Text(cell.text, style="bold" if cell.strong else "") for cell in line.cells)
        rendered.add_row(Text(line.name), *cells)
    return rendered


def _empty(title: str) -> Table:
    """A table with the methods' column alone; names are `Text`, since a string would be read as rich's markup."""
    rendered = Table(
        title=Text(title), title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    rendered.add_column(Text("method"), no_wrap=True, vertical="bottom")
    return rendered


def _elsewhere(missing: int) -> list[str]:
    if not missing:
        return []
    return [f"{missing} column{'s' if missing > 1 else ''} more in a wider terminal, in a file, and on the page"]


def _width(rendered: Table) -> int:
    return Console(width=WIDE).measure(rendered).maximum
