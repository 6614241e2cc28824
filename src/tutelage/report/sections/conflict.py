"""The page's section on whether the tasks pull the shared parameters in different directions."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from tutelage.report.charts import Chart, Panels, add_curve, curve, panel_chart
from tutelage.report.palette import LIGHT
from tutelage.report.plots import Scale
from tutelage.report.results import Results
from tutelage.report.run_files import Log
from tutelage.report.tables import Column, Line, TableModel, text_cell

_POINTS = 40  # of a curve
_FEW = 12  # of a curve where there are many methods

Pair = tuple[str, str]  # of tasks


@dataclass(frozen=True)
class Conflict:
    """Curves and means of the first seed."""

    cosines: Chart
    table: TableModel
    norms: Chart | None


def conflict(results: Results) -> Conflict | None:
    """Cosines and norms of the first seed's task gradients, as curves and as means; None where none were logged."""
    if not results.seeds:
        return None
    logs = results.multi_task_logs
    points = _FEW if len(logs) > len(LIGHT) else _POINTS
    cosines: Panels = {}
    norms: Panels = {}
    for m, log in logs.items():
        for pair in combinations(results.tasks, 2):
            add_curve(cosines, " / ".join(pair), m, curve(log, *_names(pair)), points)
        for t in results.tasks:
            add_curve(norms, t, m, curve(log, f"gradient/norm/{t}"), points)
    methods, scale = results.methods, Scale(shared=True, reach=0.1)
    chart = panel_chart("cosines", "Cosine of two tasks' gradients", methods, cosines, "cosine", scale)
    if chart is None:
        return None
    scale = Scale(shared=True, decades=1)
    norms_chart = panel_chart("norms", "Norm of each task's gradient", methods, norms, "norm", scale)
    return Conflict(chart, _table(results, logs), norms_chart)


def _names(pair: Pair) -> tuple[str, str]:
    """Both names of a pair's cosine in a log: where labels are missing, a step may order its tasks differently."""
    a, b = pair
    return f"gradient/cosine/{a}/{b}", f"gradient/cosine/{b}/{a}"


def _table(results: Results, logs: dict[str, Log]) -> TableModel:
    pairs = list(combinations(results.tasks, 2))
    columns = [Column("number", f"{a} /\n{b}") for a, b in pairs]
    columns += [Column("number", "in conflict", unit="% of pairs"), Column("number", "steps\nseen")]
    lines = (_line(m, log, pairs) for m, log in logs.items() if curve(log, "gradient/conflicting")[0])
    return TableModel(tuple(columns), tuple(lines))


def _line(method: str, log: Log, pairs: Sequence[Pair]) -> Line:
    shares = curve(log, "gradient/conflicting")[1]
    cosines = [curve(log, *_names(pair))[1] for pair in pairs]
    cells = [f"{fmean(values):+.3f}" if values else "-" for values in cosines]
    cells += [f"{100 * fmean(shares):.0f}", str(len(shares))]
    return Line(method, "", tuple(map(text_cell, cells)))
