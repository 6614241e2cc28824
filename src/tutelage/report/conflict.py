"""Whether the tasks pull the shared parameters in different directions, by method."""

from collections.abc import Sequence
from html import escape
from itertools import combinations

from tutelage.report.plots import COLOURS, Curve, Scale
from tutelage.report.results import Results
from tutelage.report.training import Log, Panels, add, curve, figure, read_log

_TEXT = (
    "What is measured: the exact gradients of the tasks' losses with respect to the shared parameters, without weights "
    "and without distillation, so that the figures of all methods mean the same, whatever a method does with the "
    "gradients afterwards. It is seen at the last step of every epoch (or every <code>train.observe_steps</code>), on "
    "that step's images alone. A cosine below 0: the two tasks pull in opposite directions. Where steps are many, a "
    "point of a curve is the mean of several that follow each other; the table is of all."
)
_POINTS = 40  # of a curve
_FEW = 12  # of a curve where there are many methods

Pair = tuple[str, str]  # of tasks


def conflict(found: Results) -> str:
    """Cosines and norms of the first seed's task gradients, as curves and as means; nothing where none were logged."""
    if not found.seeds:
        return ""
    logs = {m: read_log(found.run(m, "") / "log.jsonl") for m in found.multi}
    points = _FEW if len(logs) > len(COLOURS) else _POINTS
    cosines: Panels = {}
    norms: Panels = {}
    for m, log in logs.items():
        for pair in combinations(found.tasks, 2):
            add(cosines, " / ".join(pair), m, _calm(curve(log, *_names(pair)), points))
        for t in found.tasks:
            add(norms, t, m, _calm(curve(log, f"gradient/norm/{t}"), points))
    if not cosines:
        return ""
    return (
        f'<h3>Conflict between tasks</h3>\n<p class="soft">{_TEXT}</p>\n'
        "<h4>Cosine of two tasks' gradients</h4>\n"
        f"{figure(found, 'Cosine of two gradients', cosines, Scale(shared=True, reach=0.1))}"
        f"{_table(found, logs)}"
        "<h4>Norm of each task's gradient</h4>\n"
        f"{figure(found, 'Norms of the gradients', norms, Scale(shared=True, decades=1))}"
    )


def _names(pair: Pair) -> tuple[str, str]:
    """Of its cosine in a log: where labels are missing, the tasks of a step may come in another order."""
    a, b = pair
    return f"gradient/cosine/{a}/{b}", f"gradient/cosine/{b}/{a}"


def _calm(curve: Curve, points: int) -> Curve:
    """The curve with at most so many points, each the mean of as many that follow each other."""
    x, y = curve
    size = -(-len(x) // points) or 1
    starts = range(0, len(x), size)
    return [_mean(x[i : i + size]) for i in starts], [_mean(y[i : i + size]) for i in starts]


def _table(found: Results, logs: dict[str, Log]) -> str:
    pairs = list(combinations(found.tasks, 2))
    heads = "".join(f'<th scope="col">{escape(a)} /<br>{escape(b)}</th>' for a, b in pairs)
    lines = "".join(_line(m, log, pairs) for m, log in logs.items() if curve(log, "gradient/conflicting")[0])
    return (
        '<p class="soft">Mean over the steps seen: the cosine of each pair, and the share of pairs with a cosine below '
        '0.</p>\n<div class="wide"><table class="numbers plain">\n'
        f'<thead><tr><th scope="col">method</th>{heads}<th scope="col">in conflict<br>'
        '<span class="soft">% of pairs</span></th><th scope="col">steps<br>seen</th></tr></thead>\n'
        f"<tbody>\n{lines}</tbody></table></div>\n"
    )


def _line(method: str, log: Log, pairs: list[Pair]) -> str:
    shares = curve(log, "gradient/conflicting")[1]
    cosines = [curve(log, *_names(pair))[1] for pair in pairs]
    cells = [f"{_mean(values):+.3f}" if values else "-" for values in cosines]
    cells += [f"{100 * _mean(shares):.0f}", str(len(shares))]
    return f'<tr><th scope="row">{escape(method)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n'


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
