"""Progress for people: a live display on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from tutelage.study.duration import duration

_EVERY = 15.0  # seconds between two plain lines
_LOSSES = 4  # runs at once up to which a terminal shows the losses of each


class ConsoleDisplay:
    """What a person sees of a study while it runs.

    Args:
        console: where; a terminal gets bars, anything else plain lines.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn(
                "{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=2)
            ),
            BarColumn(bar_width=None, table_column=Column(ratio=1, max_width=30)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
        )
        self.study: TaskID | None = None
        self.running: list[_Shown] = []
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
        shown = [run for run in self.running if run.losses] if len(self.running) <= _LOSSES else []
        lines = [run.losses if len(self.running) == 1 else f"[{run.index + 1}] {run.losses}" for run in shown]
        losses = (Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in lines)
        return Group(self.progress, *losses)

    def count(self, finished: int, of: int) -> None:
        """So many of the study's runs have a result."""
        if self.console.is_terminal:
            if self.study is None:
                self.study = self.progress.add_task("runs", total=of)
            self.progress.update(self.study, completed=finished, total=of)

    def run(self, name: str, index: int, of: int) -> "_Shown":
        """Who watches the run with this number in the plan."""
        return _Shown(self, f"[{index + 1}/{of}] {name}", index)

    def note(self, text: str) -> None:
        """One line to the user."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=not self.console.is_terminal)


class _Shown:
    """One run: a bar on a terminal, plain lines elsewhere.

    Args:
        display: of its study.
        name: what it is called.
        index: its number in the plan.
    """

    def __init__(self, display: ConsoleDisplay, name: str, index: int) -> None:
        self.display, self.name, self.index = display, name, index
        self.bar: TaskID | None = None
        self.losses, self.first = "", 0
        self.began = self.told = time.monotonic()

    def begin(self, resumed: int) -> None:
        """The run begins, or continues after `resumed` steps."""
        self.stop()  # if it died and begins once more
        self.display.running.append(self)
        self.losses, self.first = "", resumed
        self.began = self.told = time.monotonic()
        if resumed:
            self.note(f"{self.name}: continues after step {resumed}")
        if self.display.console.is_terminal:
            self.bar = self.display.progress.add_task(self.name, total=None)
        else:
            self.note(f"{self.name}: begins")

    def step(self, step: int, total: int) -> None:
        """After every step."""
        every = _EVERY * len(self.display.running)
        if self.bar is not None:
            self.display.progress.update(self.bar, completed=step, total=total)
        elif time.monotonic() - self.told >= every and step > self.first:
            self.told = time.monotonic()
            left = (self.told - self.began) / (step - self.first) * (total - step)
            losses = f"; {self.losses}" if self.losses else ""
            self.note(f"{self.name}: step {step} of {total}, {duration(left)} left{losses}")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """With every line of the log."""
        losses = {name.removeprefix("loss/"): value for name, value in values.items() if name.startswith("loss/")}
        self.losses = "  ".join(f"{task} {value:.3f}" for task, value in losses.items())

    def note(self, text: str) -> None:
        """One line to the user."""
        self.display.note(text)

    def finish(self, metrics: Mapping[str, Mapping[str, float | None]]) -> None:
        """The run ended with these metrics."""
        first = [
            f"{task} {metric} {'-' if value is None else f'{value:.3f}'}"
            for task, values in metrics.items()
            for metric, value in [*values.items()][:1]
        ]
        self.stop()
        self.note(f"{self.name}: finished in {duration(time.monotonic() - self.began)}; {', '.join(first)}")

    def stop(self) -> None:
        """The run ended without a result, or another process took it."""
        if self in self.display.running:
            self.display.running.remove(self)
        if self.bar is not None:
            self.display.progress.remove_task(self.bar)
            self.bar = None
