"""The table that a study ends with, on a terminal."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tutelage.report.findings import Findings, count, delta, metric, unit
from tutelage.types import Task


def table(folder: Path, tasks: Mapping[str, Task], width: int = 80) -> Table:
    """Methods against metrics, in the dataset protocol, with Delta against the single-task networks of each seed.

    Several seeds give mean ± half the 95 % interval. Where `width` columns are not enough for all metrics, each task is
    represented by its main one.

    Raises:
        ValueError: There is no results.json in `folder`.
    """
    found = Findings(folder, tasks)
    full = _table(found, {t: list(task.metric_info) for t, task in tasks.items()})
    if Console(width=10_000).measure(full).maximum <= width:
        return full
    return _table(found, {t: [task.main] for t, task in tasks.items()})


def _table(found: Findings, metrics: Mapping[str, list[str]]) -> Table:
    seeds, tasks = len(found.seeds), found.tasks
    over = "1 seed, no interval" if seeds == 1 else f"{seeds} seeds, mean ± 95 % interval"
    title = f"{found.study}: split {found.split}, dataset protocol, {over}"
    shown = Table(title=Text(title), title_justify="left")
    shown.add_column(Text("method"), no_wrap=True, vertical="bottom")
    for t, names in metrics.items():
        for index, name in enumerate(names):
            head = f"{t if index == 0 else ''}\n{name}\n{unit(tasks[t].metric_info[name])}"
            shown.add_column(Text(head), justify="right", no_wrap=True)
    shown.add_column(Text("Delta\nmain\n% ↑"), justify="right", no_wrap=True)
    shown.add_column(Text("para-\nmeters"), justify="right", no_wrap=True)
    for method in found.methods:
        rows = found.of(method, "dataset")
        cells = [
            metric(rows, t, name).text(tasks[t].metric_info[name].unit)
            for t, names in metrics.items()
            for name in names
        ]
        cells += [delta(rows, "main").text("%", signed=True), count(rows[0]["parameters"])]
        shown.add_row(Text(method), *cells)
    return shown
