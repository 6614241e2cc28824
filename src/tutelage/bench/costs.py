"""What a method costs, as a row of a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.table import Table

Kind = Literal["losses", "famo", "parameters", "representation", "torchjd"]


@dataclass
class Cost:
    """The cost of one method, compared with a plain sum of the same losses and distillation terms."""

    tasks: int
    distilled: bool
    method: str
    kind: Kind
    ratio: float  # time of a step / time with the plain sum: median over the rounds
    low: float  # quartiles
    high: float
    limit: float | None
    memory: int | None  # peak in bytes, less the peak of the plain sum
    memory_limit: int | None


def table(costs: Sequence[Cost]) -> Table:
    """The costs, one line per method, red where over the limit; torchjd's `mtl_backward` uses PCGrad."""
    rows = Table(title="Time of a step over that of a plain sum", title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name in ("tasks", "method"):
        rows.add_column(name, no_wrap=True)
    rows.add_column("kind")  # the column that is cut off on a narrow terminal
    for name in ("ratio", "quartiles", "at most", "MiB", "at most"):
        rows.add_column(name, justify="right", no_wrap=True)
    for cost in costs:
        rows.add_row(
            f"{cost.tasks}{' taught' if cost.distilled else ''}", cost.method, cost.kind,
            _marked(cost.ratio, cost.limit, "{:.2f}"), f"{cost.low:.2f}-{cost.high:.2f}", _text(cost.limit, "{:.2f}"),
            _marked(_mib(cost.memory), _mib(cost.memory_limit), "{:+.1f}"), _text(_mib(cost.memory_limit), "{:+.1f}"),
        )  # fmt: skip
    return rows


def _mib(count: int | None) -> float | None:
    return None if count is None else count / 2**20


def _text(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _marked(value: float | None, limit: float | None, form: str) -> str:
    """A value, red where it is over its limit."""
    over = value is not None and limit is not None and value > limit
    return f"[red]{_text(value, form)}[/red]" if over else _text(value, form)
