"""Progress of a tuning: its trials are shown as the runs of one study."""

from tutelage.layout import SINGLE
from tutelage.study.launch import Display, RunDisplay
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

    def count(self, finished: int, of: int) -> None:
        """So many runs of a trial have a result; those of a method's teachers are not among the trials' own."""
        self.display.count(self.done + (finished if self.method == SINGLE else 0), self.of)

    def run(self, name: str, index: int, of: int) -> RunDisplay:
        """Who watches a run; the runs of its teachers come before that of a method."""
        single = self.method == SINGLE
        name = name.replace(SINGLE, self.name, 1) if single else name
        return self.display.run(name, self.done + (index if single else 0), self.of)

    def note(self, text: str) -> None:
        """One line to the user, except the one on teachers that are finished already."""
        if not text.endswith("they are kept"):
            self.display.note(text)
