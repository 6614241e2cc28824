"""The table that a tuning ends with, on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from tutelage.report.statistics import summarise


def tuning_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Methods against what their trials found.

    Args:
        title: of the table.
        rows: of `tutelage.study.Tuner`: for each method the number of its trials and of those that failed, Delta with
            its own values, and number, Delta and values of the best trial.
    """
    shown = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column(Text("method"), no_wrap=True)
    shown.add_column(Text("trials"), justify="right")
    shown.add_column(Text("Delta of\nown, %"), justify="right", no_wrap=True)
    shown.add_column(Text("Delta of\nbest, %"), justify="right", no_wrap=True)
    shown.add_column(Text("best\ntrial"), justify="right", no_wrap=True)
    shown.add_column(Text("its values"), overflow="fold")
    for row in rows:
        failed = f" ({row['failed']} failed)" if row["failed"] else ""
        values = "\n".join(f"{_short(path)} {value:g}" for path, value in row["parameters"].items())
        number = "-" if row["best"] is None else str(row["best"])
        shown.add_row(
            Text(row["method"]),
            f"{row['trials']}{failed}",
            _delta(row["own"]),
            _delta(row["delta"]),
            number,
            Text(values),
        )
    return shown


def _delta(value: float | None) -> str:
    return summarise([value]).text("%", signed=True)


def _short(path: str) -> str:
    """A path without the keys that say nothing here.

    >>> _short("adaptor_optim.optimizer.init_args.lr")
    'adaptor_optim.lr'
    """
    return ".".join(key for key in path.split(".") if key not in ("init_args", "optimizer"))
