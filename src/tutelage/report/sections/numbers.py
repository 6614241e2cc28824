"""The page's section of tables and what they mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.report.charts import Chart, strip_chart
from tutelage.report.collapsed import collapsed
from tutelage.report.conclusion import Headline, conclusion, headline
from tutelage.report.left_out import left_out
from tutelage.report.results import Results
from tutelage.report.rows import CONVENTIONS
from tutelage.report.tables import TableModel, difference_table, metric_table
from tutelage.report.undefined import undefined
from tutelage.types import MetricProtocol


@dataclass(frozen=True)
class DeltaView:
    """One convention of Delta in one protocol: a dot for every seed, and the paired differences."""

    convention: str
    better: str
    chart: Chart | None
    differences: TableModel | None


@dataclass(frozen=True)
class ProtocolView:
    """What is shown of one protocol: the table, and each Delta."""

    protocol: MetricProtocol
    table: TableModel
    deltas: Sequence[DeltaView]


@dataclass(frozen=True)
class Numbers:
    """What the templates show of the results; of the views one is seen at a time, and the first at first."""

    seeds: Sequence[int]
    split: str
    base: str | None
    tasks: Sequence[str]
    headline: Headline | None
    selection: str
    compared_with: str
    labelled: str
    conclusion: str
    collapsed: str
    left_out: str
    undefined: str
    views: Sequence[ProtocolView]


def numbers(results: Results) -> Numbers | None:
    """The headline, and the tables, charts and paired differences of both protocols; None where there are no rows."""
    if not results.rows:
        return None
    return Numbers(
        results.seeds,
        results.split,
        results.base,
        list(results.tasks),
        headline(results),
        results.selection,
        results.compared_with,
        results.labelled,
        conclusion(results),
        collapsed(results),
        left_out(results),
        undefined(results),
        [_view(results, protocol) for protocol in results.protocols],
    )


def _view(results: Results, protocol: MetricProtocol) -> ProtocolView:
    model = metric_table(results, protocol)
    table = model.select(column for column in model.columns if column.kind not in ("seeds", "parameters", "compute"))
    return ProtocolView(protocol, table, [_delta(results, protocol, *each) for each in CONVENTIONS.items()])


def _delta(results: Results, protocol: MetricProtocol, convention: str, better: str) -> DeltaView:
    """Every method against every method that is no control, pair by pair; no differences for one seed."""
    gains: dict[str, list[float]] = {}
    for method in results.methods:
        if method != results.base:
            values = results.deltas(method, protocol, convention).values()
            gains[method] = [value for value in values if value is not None]
    side = "right" if better == "↑" else "left"
    xlabel = f"Delta {convention} in %, {protocol} protocol; {side} is better"
    chart = strip_chart(f"delta-{convention}-{protocol}", f"Delta {convention}", results.methods, gains, xlabel)
    several = len(results.seeds) > 1 and len(results.methods) > 2
    return DeltaView(convention, better, chart, difference_table(results, protocol, convention) if several else None)
