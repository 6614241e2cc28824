"""Plots as SVG, readable on light and dark ground."""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

Curve = tuple[Sequence[float], Sequence[float]]  # x, y

# Okabe and Ito's colours, which colour-blind people can tell apart, without those that vanish on white or black.
COLOURS = ("#8a8a8a", "#0a84d0", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b5a300")
_GREY = "#808080"
_DASHES = ("solid", (0, (4, 2)), (0, (1, 1.5)))  # where there are more names than colours


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, in the order of the names; colours repeat, see `dash`."""
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}


def dash(names: Sequence[str], name: str) -> int:
    """The line style that tells names of the same colour apart: 0 solid, 1 dashed, 2 dotted."""
    return min(list(names).index(name) // len(COLOURS), len(_DASHES) - 1) if name in names else 0


@dataclass(frozen=True)
class Scale:
    """The y axes of some panels.

    Args:
        decades: the axis is logarithmic where positive values span more decades.
        shared: all panels have the same axis.
        reach: the axis shows at least -reach..reach, with a line at 0, and nothing beyond -1..1; None: the range of
            the values.
    """

    decades: float = math.inf
    shared: bool = False
    reach: float | None = None


LINEAR = Scale()


def curves(
    panels: Mapping[str, Mapping[str, Curve]], colours: Mapping[str, str], xlabel: str, scale: Scale = LINEAR
) -> Markup:
    """Panels side by side, larger where lines are many, each with named curves, as an SVG element."""
    many = max((len(named) for named in panels.values()), default=0) > len(COLOURS)
    columns = min(2 if many else 3, len(panels))
    lines = -(-len(panels) // columns)
    width, height = (6.0, 3.4) if many else (4.0, 2.6)
    figure = Figure(figsize=(width * columns, height * lines), layout=ConstrainedLayoutEngine(h_pad=0.09))
    all_values = [y for named in panels.values() for _, ys in named.values() for y in ys]
    for index, (title, named) in enumerate(panels.items()):
        axes = figure.add_subplot(lines, columns, index + 1)
        for name, (x, y) in named.items():
            style = _DASHES[dash(list(colours), name)]
            marker = {"marker": "o", "markersize": 3} if len(x) < 3 else {}
            axes.plot(x, y, color=colours.get(name, _GREY), linestyle=style, linewidth=1.4, **marker)  # type: ignore[arg-type]  # one dict, two types
        _scale(axes, scale, all_values if scale.shared else [y for _, ys in named.values() for y in ys])
        axes.set_title(_plain(title), fontsize=10)
        axes.set_xlabel(xlabel)
        _style(axes)
    return _svg(figure)


def _scale(axes: Axes, scale: Scale, values: Iterable[float]) -> None:
    finite = [value for value in values if math.isfinite(value)]
    positive = [value for value in finite if value > 0]
    if not finite:
        return
    low, high = min(finite), max(finite)
    if scale.reach is not None:
        axes.axhline(0, color=_GREY, linewidth=1.2)
        low, high = min(low, -scale.reach), max(high, scale.reach)
        room = 0.04 * (high - low)
        axes.set_ylim(max(low - room, -1.02), min(high + room, 1.02))
    elif positive and math.log10(high / min(positive)) > scale.decades:
        _logarithmic(axes, low, min(positive), high)
    elif scale.shared:
        room = 0.04 * (high - low or 1)
        axes.set_ylim(low - room, high + room)


def _logarithmic(axes: Axes, low: float, smallest: float, high: float) -> None:
    """Where some values are not positive, the axis is linear around 0."""
    if low > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,)))
        axes.set_ylim(low / 1.2, high * 1.2)
    else:
        linear = max(smallest, high / 1e6)
        axes.set_yscale("symlog", linthresh=linear)
        axes.set_ylim(1.2 * low - 0.2 * linear, 1.2 * high)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def strip(values: Mapping[str, Sequence[float]], colours: Mapping[str, str], xlabel: str) -> Markup:
    """One line per method with a dot for every seed, around a line at zero, as an SVG element."""
    figure = Figure(figsize=(8.0, 0.7 + 0.32 * len(values)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color=_GREY, linewidth=1)
    for line, (name, numbers) in enumerate(values.items()):
        axes.plot(numbers, [line] * len(numbers), "o", color=colours.get(name, _GREY), markersize=7, alpha=0.85)
    axes.set_yticks(range(len(values)), [_plain(name) for name in values])
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlabel(xlabel)
    _style(axes)
    return _svg(figure)


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # matplotlib reads mathematics between dollars


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.tick_params(colors=_GREY, labelsize=8)
    axes.grid(color=_GREY, alpha=0.2, linewidth=0.6)
    axes.set_axisbelow(True)
    for label in (axes.title, axes.xaxis.label, axes.yaxis.label):
        label.set_color(_GREY)
    axes.xaxis.label.set_fontsize(9)


def _svg(figure: Figure) -> Markup:
    """The SVG element; matplotlib escapes its text."""
    buffer = io.StringIO()
    # `none` leaves text as text: small, sharp, and found by a search in the page.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tutelage"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    return Markup(svg[svg.index("<svg") :])
