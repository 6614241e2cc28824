"""What several verbs print."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.segment import Segment

from tutelage.errors import printable_lines

if TYPE_CHECKING:
    from tutelage.types import Task

_WIDE = 10_000


class _Printable(RenderHook):
    """What a terminal would obey in names of files and in what is read from them is spelt out."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Cleaned(renderable) for renderable in renderables]


@dataclass(frozen=True)
class _Cleaned:
    renderable: ConsoleRenderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self.renderable, options):
            yield segment if segment.control else Segment(printable_lines(segment.text), segment.style)


def new_console() -> Console:
    """A console on the standard output that writes printable characters, whatever is given to it."""
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDE  # a file is as wide as its lines
    console.push_render_hook(_Printable())
    return console


def say(console: Console, text: str) -> None:
    """Print lines as they are, however long, so that a path can be copied."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_tables(console: Console, folder: Path, tasks: "Mapping[str, Task]", seeds: list[int] | None = None) -> None:
    """Print the tables of a study's results, of all seeds or of some, and what they show."""
    from tutelage.report import tables

    for shown in tables(folder, tasks, console.width, seeds):
        console.print(shown)
