"""Progress for people: a live display on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.filesize import decimal
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from tutelage.cache import cache_root, free_bytes
from tutelage.study.duration import duration
from tutelage.study.estimate import Estimate

_EVERY = 15.0  # seconds between two plain lines


class ConsoleDisplay:
    """What a person sees of a study while it runs.

    Args:
        console: where; a terminal gets bars, anything else plain lines.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, max_width=30)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
        )
        self.study: TaskID | None = None
        self.bar: TaskID | None = None
        self.name, self.losses = "", ""
        self.began = self.told = 0.0
        self.first = 0
        self.live = Live(get_renderable=self._shown, console=console, refresh_per_second=4)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def _shown(self) -> Group:
        return Group(self.progress, Text(self.losses, style="dim", no_wrap=True, overflow="ellipsis"))

    def start(self, name: str, index: int, of: int, resumed: int) -> None:
        """A run begins, or continues after `resumed` steps."""
        if self.bar is not None:  # of a run that diverged
            self.progress.remove_task(self.bar)
        self.name, self.losses, self.first = f"[{index + 1}/{of}] {name}", "", resumed
        self.began = self.told = time.monotonic()
        if resumed:
            self.note(f"{self.name}: continues after step {resumed}")
        if self.console.is_terminal:
            if self.study is None:
                self.study = self.progress.add_task("runs", total=of, completed=index)
            self.progress.update(self.study, completed=index)
            self.bar = self.progress.add_task(self.name, total=None)
        else:
            self.note(f"{self.name}: begins")

    def step(self, step: int, total: int) -> None:
        """After every step."""
        if self.bar is not None:
            self.progress.update(self.bar, completed=step, total=total)
        elif not self.console.is_terminal and time.monotonic() - self.told >= _EVERY:
            self.told = time.monotonic()
            left = (self.told - self.began) / (step - self.first) * (total - step)
            self.note(f"{self.name}: step {step} of {total}, {duration(left)} left; {self.losses}")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """With every line of the log."""
        losses = {name.removeprefix("loss/"): value for name, value in values.items() if name.startswith("loss/")}
        self.losses = "  ".join(f"{task} {value:.3f}" for task, value in losses.items())

    def finish(self, name: str, metrics: Mapping[str, Mapping[str, float | None]]) -> None:
        """A run ended with these metrics."""
        first = [
            f"{task} {metric} {'-' if value is None else f'{value:.3f}'}"
            for task, values in metrics.items()
            for metric, value in [*values.items()][:1]
        ]
        self.losses = ""
        if self.bar is not None:
            self.progress.remove_task(self.bar)
            self.bar = None
        if self.study is not None:
            self.progress.advance(self.study)
        self.note(f"{self.name}: finished in {duration(time.monotonic() - self.began)}; {', '.join(first)}")

    def note(self, text: str) -> None:
        """One line to the user."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=not self.console.is_terminal)


def plan_table(study: str, seeds: Sequence[int], kinds: Sequence[Estimate]) -> Table:
    """What a study would train and cost."""
    shown = Table(title=f"Plan of {study}: seeds {', '.join(map(str, seeds))}")
    shown.add_column("run")
    for column in ("runs", "steps a run", "parameters", "time a run", "time"):
        shown.add_column(column, justify="right")
    for kind in kinds:
        steps, parameters = f"{kind.steps:,}", f"{kind.parameters:,}"
        shown.add_row(kind.name, str(kind.runs), steps, parameters, duration(kind.seconds), duration(kind.total))
    shown.add_section()
    total = sum(kind.total for kind in kinds)
    shown.add_row("all", str(sum(kind.runs for kind in kinds)), "", "", "", duration(total))
    return shown


def cache_line(seeds: Sequence[int], kinds: Sequence[Estimate]) -> str | None:
    """What the teachers' cache would take, in words; None: nothing is cached."""
    largest = max(kinds, key=lambda kind: kind.cache_bytes, default=None)
    if largest is None or not largest.cache_bytes:
        return None
    size, free = decimal(largest.cache_bytes), decimal(free_bytes(cache_root()))
    return (
        f"Where that saves time, teachers are cached: up to {size} for each of {len(seeds)} seeds, filled in about "
        f"{duration(largest.cache_seconds)}; {free} are free in {cache_root()}."
    )
