"""Plots of curves and of values by seed, as figures of matplotlib."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from tutelage.report.palette import DASHES, colours, dash
from tutelage.report.statistics import Summary, summarise

Curve = tuple[Sequence[float], Sequence[float]]  # x, y

INK = "#55595d"  # of text and axes
_TEXT = 9.0  # points
_PANEL = (3.6, 2.5)  # inches


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
    panels: Mapping[str, Mapping[str, Curve]],
    names: Sequence[str],
    labels: tuple[str, str],
    scale: Scale = LINEAR,
    only: str | None = None,
    legend: bool = False,
) -> Figure:
    """Panels side by side, each with the curves of some methods.

    Args:
        panels: title -> method -> its curve.
        names: of all methods, which decide over the colours. The curve of method i has the id `curve-i`.
        labels: of the x and the y axes.
        scale: of the y axes.
        only: the title of the one panel that is drawn, with the axis that it has beside the others; None: all.
        legend: name the methods below the panels.
    """
    titles = list(panels) if only is None else [only]
    columns = min(3, len(titles))
    lines = -(-len(titles) // columns)
    if only is None:
        figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * lines + 0.3 * legend), layout="constrained")
    else:
        figure = _framed(*_PANEL, left=0.72, bottom=0.5, top=0.28)
    every = [y for named in panels.values() for _, ys in named.values() for y in ys]
    for index, title in enumerate(titles):
        axes = figure.add_subplot(lines, columns, index + 1)
        for name, (x, y) in panels[title].items():
            marker = "o" if len(x) < 3 else ""
            line = _line(names, name)
            line.set(data=(x, y), marker=marker, markersize=3, gid=f"curve-{list(names).index(name)}")
            axes.add_line(line)
        axes.autoscale_view()
        _scale(axes, scale, every if scale.shared else [y for _, ys in panels[title].values() for y in ys])
        axes.set_title(_plain(title), fontsize=_TEXT + 1)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        _style(axes)
    if legend:
        shown = [name for name in names if any(name in panel for panel in panels.values())]
        handles = [_line(names, name) for name in shown]
        figure.legend(handles, map(_plain, shown), loc="outside lower center", ncols=6, frameon=False, fontsize=_TEXT)
    return figure


def _framed(width: float, height: float, left: float, bottom: float, top: float) -> Figure:
    """A figure of one plot with margins in inches: a layout that measures all texts would take half of the time."""
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(left / width, bottom / height, 1 - 0.1 / width, 1 - top / height)
    return figure


def _line(names: Sequence[str], name: str) -> Line2D:
    return Line2D([], [], color=colours(names)[name], linestyle=DASHES[dash(names, name)], linewidth=1.5)


def _scale(axes: Axes, scale: Scale, values: Iterable[float]) -> None:
    finite = [value for value in values if math.isfinite(value)]
    positive = [value for value in finite if value > 0]
    if not finite:
        return
    low, high = min(finite), max(finite)
    if scale.reach is not None:
        axes.axhline(0, color=INK, linewidth=1.2)
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


def strip(values: Mapping[str, Sequence[float]], names: Sequence[str], xlabel: str) -> Figure:
    """One line per method, around a line at zero: a dot for every seed, and a bar for the 95 % interval of their mean.

    Args:
        values: method -> its value at every seed.
        names: of all methods, which decide over the colours.
        xlabel: of the axis.
    """
    left = 0.2 + 0.08 * max(map(len, values))
    figure = _framed(3.4 + left, 0.75 + 0.28 * len(values), left, bottom=0.55, top=0.08)
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=1)
    for line, (name, numbers) in enumerate(values.items()):
        _interval(axes, summarise(numbers), line, colours(names)[name])
        axes.plot(numbers, [line] * len(numbers), "o", color=colours(names)[name], markersize=5, alpha=0.85)
    axes.set_yticks(range(len(values)), [_plain(name) for name in values])
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlabel(xlabel)
    axes.xaxis.set_major_locator(MaxNLocator(7))
    _style(axes)
    return figure


def _interval(axes: Axes, summary: Summary, line: int, colour: str) -> None:
    if summary.half is not None and math.isfinite(summary.half):
        axes.errorbar(
            summary.mean, line, xerr=summary.half, color=colour, fmt="|", markersize=13, elinewidth=1.6, capsize=3
        )


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # matplotlib reads mathematics between dollars


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, labelsize=_TEXT)
    axes.grid(color=INK, alpha=0.18, linewidth=0.6)
    axes.set_axisbelow(True)
    for label in (axes.title, axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_fontsize(_TEXT)
