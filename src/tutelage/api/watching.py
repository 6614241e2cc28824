"""Who watches what Python starts: the display of the command, or nobody."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console

from tutelage.study import ConsoleDisplay, Display
from tutelage.study.observers import Silent


class _Nobody(Silent):
    """A display, and the observer of each of its runs, that shows nothing."""

    def count(self, finished: int, of: int) -> None: ...

    def run(self, name: str, index: int, of: int) -> "_Nobody":
        return self

    def finish(self, metrics: Mapping[str, Mapping[str, float | None]]) -> None: ...

    def stop(self) -> None: ...


@contextmanager
def watching(quiet: bool) -> Iterator[tuple[Console, Display]]:
    """A console and a display for a block; with `quiet` both show nothing."""
    if quiet:
        yield Console(file=io.StringIO()), _Nobody()
        return
    console = Console()
    with ConsoleDisplay(console) as display:
        yield console, display
