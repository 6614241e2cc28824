"""Signals to a process whose work is done by others."""

import signal
from collections.abc import Mapping

from tutelage.train import HeldSignals, Interrupted


class StudyInterrupted(Interrupted):
    """A signal stopped a study whose runs were trained side by side.

    Attributes:
        steps: run -> the last step of it that is saved.
    """

    def __init__(self, signal: signal.Signals, steps: Mapping[str, int]) -> None:
        super().__init__(signal, max(steps.values(), default=0))
        self.steps = dict(steps)

    @property
    def line(self) -> str:
        """What a person is told."""
        saved = "; ".join(f"{run}, after step {step}" for run, step in self.steps.items())
        return f"stopped by {self.signal.name}" + (f"; saved: {saved}" if saved else "")


class Hold(HeldSignals):
    """Holds SIGTERM and SIGINT back for a block, which looks at them when it can act on them.

    Attributes:
        again: whether another one came over a second after the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.again = False

    def receive_again(self, number: int) -> None:
        """Remember it."""
        self.again = True
