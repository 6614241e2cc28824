"""One figure of the bench, as a row of a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any, NamedTuple

from rich.console import Group
from rich.table import Table


class Spread(NamedTuple):
    """Median and quartiles of the rounds."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of one value or more."""
        low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
        return cls(median(values), low, high)

    @classmethod
    def ratio(cls, above: Sequence[float], below: Sequence[float]) -> "Spread":
        """Of the ratios of two measurements, round by round: what slows a round down slows both."""
        return cls.of([a / b for a, b in zip(above, below, strict=True)])


@dataclass(frozen=True)
class Cost:
    """What was measured, beside what it could be at best and what it may be.

    Attributes:
        part: of the bench.
        case: what it was measured on, for example a network and its images.
        name: what was measured.
        value: median over the rounds, in `unit`.
        unit: `x` for a ratio, `s`, `ms`, `MiB`, `images/s` or `%`.
        low: lower quartile; None: it was measured once.
        high: upper quartile.
        floor: what operations and bytes alone would give, in the same unit; None: there is no such figure.
        limit: what the value may be at most (with `least`: must be at least); None: it is only reported.
        least: whether more is better.
        kind: what the rows of a part are grouped by.
    """

    part: str
    case: str
    name: str
    value: float
    unit: str = "x"
    low: float | None = None
    high: float | None = None
    floor: float | None = None
    limit: float | None = None
    least: bool = False
    kind: str = ""

    @classmethod
    def of(cls, part: str, case: str, name: str, spread: Spread, unit: str = "x", **more: Any) -> "Cost":
        """The figure of some rounds; times, in seconds, are given in milliseconds if `unit` says so."""
        scale = 1000.0 if unit == "ms" else 1.0
        value, low, high = (scale * x for x in spread)
        if more.get("floor") is not None:
            more["floor"] = scale * more["floor"]
        return cls(part, case, name, value, unit, low, high, **more)

    @property
    def missed(self) -> bool:
        """Whether the value is on the wrong side of its limit."""
        if self.limit is None:
            return False
        return self.value < self.limit if self.least else self.value > self.limit

    def cells(self) -> tuple[str, str, str, str]:
        """Value with unit, quartiles, floor and limit, as texts."""
        quartiles = "" if self.low is None or self.high is None else f"{digits(self.low)}-{digits(self.high)}"
        unit = "" if self.unit == "x" else f" {self.unit}"
        limit = "" if self.limit is None else f"{'>=' if self.least else '<='} {digits(self.limit)}"
        return f"{digits(self.value)}{unit}", quartiles, "" if self.floor is None else digits(self.floor), limit


def digits(value: float) -> str:
    """A number with as many digits as it is known to: two behind the point below 10, none from 100 on."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


_COLUMNS = ("value", "quartiles", "floor", "limit")


def table(costs: Sequence[Cost]) -> Group:
    """The figures, one line each and one table per case; red where the limit is missed."""
    tables: dict[str, Table] = {}
    for cost in costs:
        title = f"{cost.part}: {cost.case}"
        if title not in tables:
            tables[title] = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
            tables[title].add_column(overflow="fold")  # the column that gives way on a narrow terminal
            for name in _COLUMNS:
                tables[title].add_column(name, justify="right", no_wrap=True)
        value, *others = cost.cells()
        tables[title].add_row(cost.name, f"[red]{value}[/red]" if cost.missed else value, *others)
    return Group(*tables.values())


def markdown(costs: Sequence[Cost]) -> str:
    """The figures as tables of Markdown, one per part."""
    lines: list[str] = []
    for part in dict.fromkeys(cost.part for cost in costs):
        lines += [f"### {part}", "", f"| case | measured | {' | '.join(_COLUMNS)} |", "|---|---|" + "---:|" * 4]
        for cost in (cost for cost in costs if cost.part == part):
            value, *others = cost.cells()
            shown = f"**{value}**" if cost.missed else value
            lines.append(f"| {cost.case} | {cost.name} | {' | '.join([shown, *others])} |")
        lines.append("")
    return "\n".join(lines)
