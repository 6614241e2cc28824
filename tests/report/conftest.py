"""Pages are written in many tests, most of them with the same charts."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import pytest
from markupsafe import Markup
from matplotlib.figure import Figure

from tutelage.report import charts

DRAWN: dict[str, Markup] = {}


class Later:
    """A figure that is drawn when something of it is asked for."""

    def __init__(self, draw: Callable[..., Figure], *arguments: Any, **options: Any) -> None:
        self.draw, self.of = partial(draw, *arguments, **options), repr((draw, arguments, options))

    @cached_property
    def figure(self) -> Figure:
        """The figure."""
        return self.draw()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.figure, name)


@pytest.fixture(autouse=True)
def charts_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal values give equal charts, which take most of the time of a page."""
    svg = charts.svg

    def drawn(figure: Any, key: str) -> Markup:
        of = f"{key}: {figure.of}"
        if of not in DRAWN:
            DRAWN[of] = svg(figure.figure, key)
        return DRAWN[of]

    monkeypatch.setattr(charts, "curves", partial(Later, charts.curves))
    monkeypatch.setattr(charts, "strip", partial(Later, charts.strip))
    monkeypatch.setattr(charts, "svg", drawn)
