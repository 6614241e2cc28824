"""The table that a study ends with, on a terminal."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tutelage.report.findings import Findings, Summary, count, delta, metric, unit
from tutelage.types import Task


def table(folder: Path, tasks: Mapping[str, Task], width: int = 80) -> Table:
    """Methods against metrics, in the dataset protocol, with Delta against the single-task networks of each seed.

    Several seeds give mean ± half the 95 % interval. Where `width` columns are not enough for all metrics, each task is
    represented by its main one; then parameters and at last intervals are left out.

    Raises:
        ValueError: There is no results.json in `folder`.
    """
    found = Findings(folder, tasks)
    every, main = (
        {t: list(task.metric_info) for t, task in tasks.items()},
        {t: [task.main] for t, task in tasks.items()},
    )
    for metrics, parameters, intervals in ((every, True, True), (main, True, True), (main, False, True)):
        shown = _table(found, metrics, parameters, intervals)
        if Console(width=10_000).measure(shown).maximum <= width:
            return shown
    return _table(found, main, parameters=False, intervals=False)


def _table(found: Findings, metrics: Mapping[str, list[str]], parameters: bool, intervals: bool) -> Table:
    seeds, tasks = len(found.seeds), found.tasks
    over = "1 seed, no interval" if seeds == 1 else f"{seeds} seeds, mean{' ± 95 % interval' if intervals else ''}"
    title = f"{found.study}: split {found.split}, dataset protocol, {over}"
    shown = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column(Text("method"), no_wrap=True, vertical="bottom")
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
        rows = found.of(method, "dataset")
        cells = [
            text(metric(rows, t, name), tasks[t].metric_info[name].unit)
            for t, names in metrics.items()
            for name in names
        ]
        cells.append(text(delta(rows, "main"), "%", signed=True))
        fewer = f" ({len(rows)} of {seeds} seeds)" if len(rows) < seeds else ""
        shown.add_row(Text(method + fewer), *cells, *([count(rows[0]["parameters"])] if parameters else []))
    return shown
