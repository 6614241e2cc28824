"""The page's curves: losses, distances to the teachers, weights."""

import json
from html import escape
from pathlib import Path

from tutelage.report.findings import Findings
from tutelage.report.pictures import swatches
from tutelage.report.plots import Curve, colours, curves, dash

_APART = (
    "Between the student's adapted feature and the teacher's, by task and tap, without lambda: 0 where they agree in "
    "direction, 2 where they have nothing in common."
)

Log = list[dict[str, float]]
Panels = dict[str, dict[str, Curve]]  # title -> method -> curve


def training(found: Findings) -> str:
    """How the first seed's networks learnt; nothing where there are no logs."""
    if not found.seeds:
        return ""
    logs = {(m, t): read_log(found.run(m, t) / "log.jsonl") for t in found.tasks for m in found.methods}
    losses: Panels = {}
    distances: Panels = {}
    weights: Panels = {}
    for (m, t), log in logs.items():
        _add(losses, t, m, _curve(log, f"loss/{t}"))
        for name in sorted({key for line in log for key in line if key.startswith(f"distance/{t}/")}):
            _add(distances, name.removeprefix("distance/"), m, _curve(log, name))
        weight = _curve(log, f"weight/{t}")
        if len(set(weight[1])) > 1:
            _add(weights, t, m, weight)
    parts = [
        _chart(found, "Losses", "Each task's loss on the training images, without any weight.", losses),
        _chart(found, "Distances to the teachers", _APART, distances),
        _chart(found, "Weights", "Of the tasks' losses, where they change.", weights),
    ]
    text = "".join(parts)
    return f'<h2>Training</h2>\n<p class="soft">Seed {found.seeds[0]}.</p>\n{text}' if text else ""


def _chart(found: Findings, title: str, text: str, panels: Panels) -> str:
    if not panels:
        return ""
    colour = colours(found.methods)
    shown = {m for named in panels.values() for m in named}
    legend = swatches((m, colour[m], dash(found.methods, m)) for m in found.methods if m in shown)
    svg = curves(panels, colour, "epoch")
    return (
        f'<h3>{title}</h3>\n<p class="soft">{escape(text)}</p>\n{legend}'
        f'<figure role="img" aria-label="{title} over epochs">{svg}</figure>\n'
    )


def read_log(path: Path) -> Log:
    """The lines of a run's log; none where there is no log."""
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError):
        return []


def _curve(log: Log, name: str) -> Curve:
    points = [(line["epoch"], line[name]) for line in log if name in line]
    return [x for x, _ in points], [y for _, y in points]


def _add(panels: Panels, title: str, method: str, curve: Curve) -> None:
    if curve[0]:
        panels.setdefault(title, {})[method] = curve
