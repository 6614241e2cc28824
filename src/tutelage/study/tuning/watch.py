"""Progress of a tuning: its trials are shown as the runs of one study."""

from collections.abc import Mapping

from tutelage.layout import SINGLE
from tutelage.study.launch import Display
from tutelage.study.tuning.trials import Trial, format_parameters, label


class Watch:
    """Tells a display of the runs of all trials.

    Args:
        display: is told.
        of: runs of all trials.
    """

    def __init__(self, display: Display, of: int) -> None:
        self.display, self.of = display, of
        self.done = 0  # runs of finished trials
        self.method, self.name = SINGLE, label(SINGLE, 0)

    def trial(self, method: str, number: int) -> None:
        """A trial begins."""
        self.method, self.name = method, label(method, number)

    def judged(self, trial: Trial) -> None:
        """A trial has ended."""
        result = f"diverged: {trial.problem}" if trial.delta is None else f"Delta {trial.delta:+.2f} %"
        self.display.note(f"{self.name}: {result}, with {format_parameters(trial.parameters)}")

    def start(self, name: str, index: int, of: int, resumed: int) -> None:
        """A run begins; the runs of its teachers come before that of a method."""
        single = self.method == SINGLE
        name = name.replace(SINGLE, self.name, 1) if single else name
        self.display.start(name, self.done + (index if single else 0), self.of, resumed)

    def finish(self, name: str, metrics: Mapping[str, Mapping[str, float | None]]) -> None:
        """A run ended."""
        self.display.finish(name, metrics)

    def note(self, text: str) -> None:
        """One line to the user, except the one on teachers that are finished already."""
        if not text.endswith("they are kept"):
            self.display.note(text)

    def step(self, step: int, total: int) -> None:
        """After every step."""
        self.display.step(step, total)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """With every line of the log."""
        self.display.log(step, values)
