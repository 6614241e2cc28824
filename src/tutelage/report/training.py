"""The page's curves: losses, distances to the teachers, weights."""

import json
from html import escape
from pathlib import Path

from tutelage.report.pictures import swatches
from tutelage.report.plots import LINEAR, Curve, Scale, colours, curves, dash
from tutelage.report.results import Results

_APART = (
    "Between the student's adapted feature and the teacher's, by task and tap, without lambda: 0 where they agree; "
    "of kd4mtl and url, 2 where they have nothing in common."
)

Log = list[dict[str, float]]
Panels = dict[str, dict[str, Curve]]  # title -> method -> curve


def training(found: Results) -> str:
    """How the first seed's networks learnt; nothing where there are no logs."""
    if not found.seeds:
        return ""
    logs = {(m, t): read_log(found.run(m, t) / "log.jsonl") for t in found.tasks for m in found.methods}
    losses: Panels = {}
    distances: Panels = {}
    weights: Panels = {}
    for (m, t), log in logs.items():
        add(losses, t, m, curve(log, f"loss/{t}"))
        for name in sorted({key for line in log for key in line if key.startswith(f"distance/{t}/")}):
            add(distances, name.removeprefix("distance/"), m, curve(log, name))
        weight = curve(log, f"weight/{t}")
        if len(set(weight[1])) > 1:
            add(weights, t, m, weight)
    parts = [
        _chart(found, "Losses", "Each task's loss on the training images, without any weight.", losses),
        _chart(found, "Distances to the teachers", _APART, distances),
        _chart(found, "Weights", "Of the tasks' losses, where they change.", weights, Scale(decades=2, shared=True)),
    ]
    text = "".join(parts)
    return f'<h2>Training</h2>\n<p class="soft">Seed {found.seeds[0]}.</p>\n{text}' if text else ""


def _chart(found: Results, title: str, text: str, panels: Panels, scale: Scale = LINEAR) -> str:
    if not panels:
        return ""
    return f'<h3>{title}</h3>\n<p class="soft">{escape(text)}</p>\n{figure(found, title, panels, scale)}'


def figure(found: Results, title: str, panels: Panels, scale: Scale = LINEAR) -> str:
    """Panels over epochs, under a list of the methods that they show."""
    colour = colours(found.methods)
    shown = {m for named in panels.values() for m in named}
    legend = swatches((m, colour[m], dash(found.methods, m)) for m in found.methods if m in shown)
    svg = curves(panels, colour, "epoch", scale)
    return f'{legend}<figure role="img" aria-label="{title} over epochs">{svg}</figure>\n'


def read_log(path: Path) -> Log:
    """The lines of a run's log; none where there is no log."""
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError):
        return []


def curve(log: Log, *names: str) -> Curve:
    """A quantity over epochs; of several names for it, a line has one."""
    points = [(line["epoch"], line[name]) for line in log for name in names if name in line]
    return [x for x, _ in points], [y for _, y in points]


def add(panels: Panels, title: str, method: str, curve: Curve) -> None:
    """Put a method's curve into the panel of that title, if it has any points."""
    if curve[0]:
        panels.setdefault(title, {})[method] = curve
