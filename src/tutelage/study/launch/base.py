"""What a launcher is, and who watches it."""

from collections.abc import Mapping
from typing import Protocol

from tutelage.study.execute import RunObserver
from tutelage.study.launch.ready import Ready


class RunDisplay(RunObserver, Protocol):
    """Who watches one run of a study."""

    def finish(self, metrics: Mapping[str, Mapping[str, float | None]]) -> None:
        """The run ended with these metrics."""

    def stop(self) -> None:
        """The run ended without a result, or another process took it."""


class Display(Protocol):
    """Who watches a study: several of its runs may go on at once."""

    def count(self, finished: int, of: int) -> None:
        """So many of the study's runs have a result."""

    def run(self, name: str, index: int, of: int) -> RunDisplay:
        """Who watches the run with this number in the plan."""

    def note(self, text: str) -> None:
        """One line to the user."""


class Launcher(Protocol):
    """Decides where and when the runs of a study are executed."""

    def launch(self, ready: Ready, display: Display) -> None:
        """Execute every run without a result, each after those that it needs, and write results.json after each.

        Args:
            ready: the runs of the study, planned and checked.
            display: is told of every run.

        Raises:
            UserError: a run failed, and the user has to change something.
            Interrupted: SIGTERM or SIGINT arrived; what was trained is saved.
        """
