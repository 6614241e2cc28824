"""The table of a tuning on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from tutelage.report.statistics import summarise


def tuning_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Methods against the results of their trials.

    Args:
        title: of the table.
        rows: of `tutelage.study.Tuner`: for each method the number of its trials and of those that failed, Delta with
            its own values, and number, Delta and values of the best trial.
    """
    rendered = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    rendered.add_column(Text("method"), no_wrap=True)
    rendered.add_column(Text("trials"), justify="right")
    rendered.add_column(Text("Delta of\nown, %"), justify="right", no_wrap=True)
    rendered.add_column(Text("Delta of\nbest, %"), justify="right", no_wrap=True)
    rendered.add_column(Text("best\ntrial"), justify="right", no_wrap=True)
    rendered.add_column(Text("its values"), overflow="fold")
    for row in rows:
        failed = f" ({row['failed']} failed)" if row["failed"] else ""
        values = "\n".join(f"{_short(path)} {value:g}" for path, value in row["parameters"].items())
        number = "-" if row["best"] is None else str(row["best"])
        rendered.add_row(
            Text(row["method"]),
            f"{row['trials']}{failed}",
            _delta(row["own"]),
            _delta(row["delta"]),
            number,
            Text(values),
        )
    return rendered


def _delta(value: float | None) -> str:
    return summarise([value]).text("%", signed=True)


def _short(path: str) -> str:
    """A path without the keys that are the same everywhere.

    >>> _short("adaptor_optim.optimizer.init_args.lr")
    'adaptor_optim.lr'
    """
    return ".".join(key for key in path.split(".") if key not in ("init_args", "optimizer"))
