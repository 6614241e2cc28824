"""Signals to a process whose work is done by others."""

import signal
import threading
import time
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Any, Self

from tutelage.train import Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SAME = 1.0  # seconds in which a second signal is the first once more


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


class Hold:
    """Holds SIGTERM and SIGINT back for a block, which looks at them when it can act on them.

    Only the main thread receives signals: in any other nothing is held back, and neither is what the process ignores.

    Attributes:
        signal: the first that arrived; None: none has.
        again: whether another one came over a second later.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.again = False
        self._at = 0.0
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                # None: a handler that was not set from Python and so cannot be restored
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._former[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal, self._at = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self._at >= _SAME:
            self.again = True
