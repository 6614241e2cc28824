"""What several verbs print."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from tutelage.types import Task


def say(console: Console, text: str) -> None:
    """Print lines as they are, however long, so that a path can be copied."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_tables(console: Console, folder: Path, tasks: "Mapping[str, Task]", seeds: list[int] | None = None) -> None:
    """Print the tables of a study's results, of all seeds or of some, and what they show."""
    from tutelage.report import tables

    for shown in tables(folder, tasks, console.width, seeds):
        console.print(shown)
