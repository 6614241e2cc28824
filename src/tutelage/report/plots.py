"""Curves as SVG, readable on light and dark ground."""

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Curve = tuple[Sequence[float], Sequence[float]]  # x, y

# Okabe and Ito's colours, told apart by most eyes; those that vanish on white or black are left out.
COLOURS = ("#8a8a8a", "#0a84d0", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b5a300")
_GREY = "#808080"


_DASHES = ("solid", (0, (4, 2)), (0, (1, 1.5)))  # where there are more names than colours


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, the same wherever the names are the same; they repeat, see `dash`."""
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}


def dash(names: Sequence[str], name: str) -> int:
    """How a name's line is drawn, to tell names of the same colour apart: 0 solid, 1 dashed, 2 dotted."""
    return min(list(names).index(name) // len(COLOURS), len(_DASHES) - 1) if name in names else 0


def curves(panels: Mapping[str, Mapping[str, Curve]], colours: Mapping[str, str], xlabel: str) -> str:
    """Panels side by side, each with named curves; an SVG element."""
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(4.0 * columns, 2.6 * lines), layout="constrained")
    for index, (title, named) in enumerate(panels.items()):
        axes = figure.add_subplot(lines, columns, index + 1)
        for name, (x, y) in named.items():
            style = _DASHES[dash(list(colours), name)]
            marker = {"marker": "o", "markersize": 3} if len(x) < 3 else {}
            axes.plot(x, y, color=colours.get(name, _GREY), linestyle=style, linewidth=1.4, **marker)  # type: ignore[arg-type]  # one dict, two types
        axes.set_title(_plain(title), fontsize=10)
        axes.set_xlabel(xlabel)
        _quiet(axes)
    return _svg(figure)


def strip(values: Mapping[str, Sequence[float]], colours: Mapping[str, str], xlabel: str) -> str:
    """One line a method with a dot for every seed, around a line at zero; an SVG element."""
    figure = Figure(figsize=(8.0, 0.7 + 0.32 * len(values)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color=_GREY, linewidth=1)
    for line, (name, numbers) in enumerate(values.items()):
        axes.plot(numbers, [line] * len(numbers), "o", color=colours.get(name, _GREY), markersize=7, alpha=0.85)
    axes.set_yticks(range(len(values)), [_plain(name) for name in values])
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlabel(xlabel)
    _quiet(axes)
    return _svg(figure)


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # matplotlib reads mathematics between dollars


def _quiet(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.tick_params(colors=_GREY, labelsize=8)
    axes.grid(color=_GREY, alpha=0.2, linewidth=0.6)
    axes.set_axisbelow(True)
    for label in (axes.title, axes.xaxis.label, axes.yaxis.label):
        label.set_color(_GREY)
    axes.xaxis.label.set_fontsize(9)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    # `none` leaves text as text: small, sharp, and found by a search in the page.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tutelage"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]
