"""The page's section of tables and what they mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tutelage.layout import SINGLE
from tutelage.report.conclusion import conclusion
from tutelage.report.plots import colours, strip
from tutelage.report.results import Results
from tutelage.report.rows import CONVENTIONS
from tutelage.report.tables import TableModel, difference_table, metric_table
from tutelage.report.undefined import undefined
from tutelage.types import MetricProtocol


@dataclass(frozen=True)
class Comparison:
    """A table in one protocol, of one convention of Delta where it is of differences."""

    protocol: MetricProtocol
    table: TableModel
    convention: str = ""
    better: str = ""


@dataclass(frozen=True)
class Numbers:
    """What the templates show of the results: the first table and difference are open, the others folded."""

    seeds: Sequence[int]
    split: str
    selection: str
    compared_with: str
    protocol: MetricProtocol
    tables: Sequence[Comparison]
    conclusion: str
    undefined: str
    chart: Markup | None
    differences: Sequence[Comparison]


def numbers(results: Results) -> Numbers | None:
    """Tables in both protocols, a chart of Delta and paired differences; None where there are no rows."""
    if not results.rows:
        return None
    return Numbers(
        results.seeds,
        results.split,
        results.selection,
        results.compared_with,
        results.protocol,
        [Comparison(p, _metrics(results, p)) for p in results.protocols],
        conclusion(results),
        undefined(results),
        _chart(results),
        _differences(results),
    )


def _metrics(results: Results, protocol: MetricProtocol) -> TableModel:
    model = metric_table(results, protocol)
    return model.select(column for column in model.columns if column.kind != "seeds")


def _chart(results: Results) -> Markup | None:
    gains: dict[str, list[float]] = {}
    for method in results.methods:
        if method != SINGLE:
            values = results.deltas(method, results.protocol, "main").values()
            gains[method] = [value for value in values if value is not None]
    if not any(gains.values()):
        return None
    return strip(gains, colours(results.methods), f"Delta (main) in %, {results.protocol} protocol; right is better")


def _differences(results: Results) -> list[Comparison]:
    """Every method against every method that is no control, pair by pair; nothing for one seed."""
    if len(results.seeds) == 1 or len(results.methods) < 3:
        return []
    return [
        Comparison(protocol, difference_table(results, protocol, convention), convention, better)
        for protocol in results.protocols
        for convention, better in CONVENTIONS.items()
    ]
