"""The table that a study ends with, on a terminal."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tutelage.report.results import Results, count, delta, difference, metric, unit
from tutelage.report.statistics import Summary
from tutelage.types import Task


def table(folder: Path, tasks: Mapping[str, Task], width: int = 80, seeds: Collection[int] | None = None) -> Table:
    """Methods against metrics, with Delta against the single-task networks of each seed.

    In the dataset protocol, unless the study has `official_quirks`. Several seeds give mean ± half the 95 % interval.
    Where `width` columns are not enough for all metrics, each task is represented by its main one; then parameters,
    the values' origin and at last intervals are left out.

    Raises:
        ValueError: There is no results.json in `folder`.
    """
    found = Results(folder, tasks, seeds)
    every, main = (
        {t: list(task.metric_info) for t, task in tasks.items()},
        {t: [task.main] for t, task in tasks.items()},
    )
    stages = ((every, True, True), (main, True, True), (main, False, True), (main, False, False))
    for metrics, parameters, values in stages:
        shown = _table(found, metrics, parameters, values, intervals=True)
        if Console(width=10_000).measure(shown).maximum <= width:
            return shown
    return _table(found, main, parameters=False, values=False, intervals=False)


def _table(found: Results, metrics: Mapping[str, list[str]], parameters: bool, values: bool, intervals: bool) -> Table:
    seeds, tasks = len(found.seeds), found.tasks
    over = "1 seed, no interval" if seeds == 1 else f"{seeds} seeds, mean{' ± 95 % interval' if intervals else ''}"
    title = f"{found.study}: split {found.split}, {found.protocol} protocol, {over}"
    shown = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column(Text("method"), no_wrap=True, vertical="bottom")
    if values:
        shown.add_column(Text("values"), no_wrap=True, vertical="bottom", style="dim")
    for t, names in metrics.items():
        for index, name in enumerate(names):
            head = f"{t if index == 0 else ''}\n{name}\n{unit(tasks[t].metric_info[name])}"
            shown.add_column(Text(head), justify="right", no_wrap=True)
    shown.add_column(Text("Delta\nmain\n% ↑"), justify="right", no_wrap=True)
    if parameters:
        shown.add_column(Text("para-\nmeters"), justify="right", no_wrap=True)

    def text(summary: Summary, unit: str, signed: bool = False) -> str:
        return (summary if intervals else replace(summary, half=None)).text(unit, signed)

    for method in found.methods:
        rows = found.of(method, found.protocol)
        cells = [
            text(metric(rows, t, name), tasks[t].metric_info[name].unit)
            for t, names in metrics.items()
            for name in names
        ]
        cells.append(text(delta(rows, "main"), "%", signed=True))
        fewer = f" ({len(rows)} of {seeds} seeds)" if len(rows) < seeds else ""
        source = [Text(str(rows[0].get("values", "")))] if values else []
        shown.add_row(Text(method + fewer), *source, *cells, *([count(rows[0]["parameters"])] if parameters else []))
    return shown


def differences(
    folder: Path, tasks: Mapping[str, Task], width: int = 80, seeds: Collection[int] | None = None
) -> Table | None:
    """Delta main of each method minus that of the others, pair by pair of the same seed; none for a single seed.

    As many of the others as fit into `width` columns, controls never. Bold where the 95 % interval does not include 0.

    Raises:
        ValueError: There is no results.json in `folder`.
    """
    found = Results(folder, tasks, seeds)
    if len(found.seeds) == 1 or len(found.methods) < 3:
        return None
    references = found.references
    while len(references) > 1 and Console(width=10_000).measure(_differences(found, references)).maximum > width:
        references = references[:-1]
    return _differences(found, references)


def _differences(found: Results, references: list[str]) -> Table:
    title = "differences of Delta main in %, same seeds: mean ± 95 % interval; bold: 0 is not in it"
    shown = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column(Text("method"), no_wrap=True, vertical="bottom")
    for b in references:
        shown.add_column(Text(f"minus\n{b}"), justify="right", no_wrap=True)
    for a in found.methods:
        cells = []
        for b in references:
            gap = difference(found, a, b, found.protocol, "main")
            cells.append(Text("" if a == b else gap.text("%", signed=True), style="bold" if gap.clear else ""))
        shown.add_row(Text(a), *cells)
    return shown
