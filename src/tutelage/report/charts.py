"""The curves of several runs, and values by seed, as charts: for the page, and as files."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

from tutelage.report.palette import LIGHT, dash
from tutelage.report.plots import INK, LINEAR, Curve, Scale, curves, strip
from tutelage.report.run_files import Log

Panels = dict[str, dict[str, Curve]]  # title -> method -> curve


@dataclass(frozen=True)
class Swatch:
    """An entry of a legend: a name, its colour in CSS, how its line is drawn (0 solid, 1 dashed, 2 dotted)."""

    name: str
    colour: str
    dash: int = 0


@dataclass(frozen=True)
class Chart:
    """Panels of one kind.

    Attributes:
        key: names its files, and makes the ids of its elements those of no other chart of the page.
        title: what it shows.
        panels: SVG elements, which take their colours from the page.
        figure: draws all panels with a legend, for a file.
    """

    key: str
    title: str
    panels: Sequence[Markup]
    figure: Callable[[], Figure] = field(compare=False)


def panel_chart(
    key: str, title: str, methods: Sequence[str], panels: Panels, ylabel: str, scale: Scale = LINEAR
) -> Chart | None:
    """A chart of curves over epochs, one panel for each title; None without a curve."""
    if not panels:
        return None
    draw = partial(curves, panels, methods, ("epoch", ylabel), scale)
    shown = [svg(draw(only=name), f"{key}-{index}") for index, name in enumerate(panels)]
    return Chart(key, title, shown, partial(draw, legend=True))


def strip_chart(
    key: str, title: str, methods: Sequence[str], values: Mapping[str, Sequence[float]], xlabel: str
) -> Chart | None:
    """A chart of values by seed; None without a value."""
    if not any(values.values()):
        return None
    draw = partial(strip, values, methods, xlabel)
    return Chart(key, title, [svg(draw(), key)], draw)


def picker(methods: Sequence[str], shown: set[str]) -> list[tuple[int, Swatch]]:
    """Number and swatch of each of the methods that are `shown`, by which its curves are found."""
    return [
        (index, Swatch(name, f"var(--method-{index % len(LIGHT)})", dash(methods, name)))
        for index, name in enumerate(methods)
        if name in shown
    ]


def svg(figure: Figure, key: str) -> Markup:
    """The figure as an SVG element whose colours and font are those of the page, and whose ids begin with `key`.

    matplotlib escapes its text.
    """
    buffer = io.StringIO()
    # `none` leaves text as text: small, sharp, and found by a search in the page.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tutelage"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{key}-", text[text.index("<svg") :])
    for index, colour in enumerate(LIGHT):
        text = text.replace(f": {colour}", f": var(--method-{index})")
    return Markup(text.replace(f": {INK}", ": var(--soft)"))


def curve(log: Log, *names: str) -> Curve:
    """A quantity over epochs; where it has several names, a line has one of them."""
    points = [(line["epoch"], line[name]) for line in log for name in names if name in line]
    return [x for x, _ in points], [y for _, y in points]


def add_curve(panels: Panels, title: str, method: str, curve: Curve, points: int = 300) -> None:
    """Put a method's curve into the panel of that title, if it has any points.

    Of a curve with more than `points` points, each is the mean of equally many neighbours: more are not seen, and
    would make the page large.
    """
    x, y = curve
    size = -(-len(x) // points)
    if starts := range(0, len(x), size or 1):
        means = [[fmean(values[i : i + size]) for i in starts] for values in (x, y)]
        panels.setdefault(title, {})[method] = means[0], means[1]
