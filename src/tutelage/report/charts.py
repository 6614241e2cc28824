"""The curves of several runs as a chart with a legend."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tutelage.report.plots import LINEAR, Curve, Scale, colours, curves, dash
from tutelage.report.run_files import Log

Panels = dict[str, dict[str, Curve]]  # title -> method -> curve


@dataclass(frozen=True)
class Swatch:
    """An entry of a legend: a name, its colour and how its line is drawn (0 solid, 1 dashed, 2 dotted)."""

    name: str
    colour: str
    dash: int = 0


@dataclass(frozen=True)
class Chart:
    """Panels over epochs, and the methods that they show."""

    title: str
    legend: Sequence[Swatch]
    svg: Markup


def panel_chart(title: str, methods: Sequence[str], panels: Panels, scale: Scale = LINEAR) -> Chart | None:
    """A chart of curves over epochs, one panel for each title; None without a curve."""
    if not panels:
        return None
    colour = colours(methods)
    shown = {m for panel in panels.values() for m in panel}
    legend = [Swatch(m, colour[m], dash(methods, m)) for m in methods if m in shown]
    return Chart(title, legend, curves(panels, colour, "epoch", scale))


def curve(log: Log, *names: str) -> Curve:
    """A quantity over epochs; where it has several names, a line has one of them."""
    points = [(line["epoch"], line[name]) for line in log for name in names if name in line]
    return [x for x, _ in points], [y for _, y in points]


def add_curve(panels: Panels, title: str, method: str, curve: Curve) -> None:
    """Put a method's curve into the panel of that title, if it has any points."""
    if curve[0]:
        panels.setdefault(title, {})[method] = curve
