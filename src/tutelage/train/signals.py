"""Signals that ask a run to stop, held back until it is where it can continue from."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

STOPPING = (signal.SIGTERM, signal.SIGINT)
_SAME = 1.0  # seconds in which a second signal is the first once more: a batch system and a launcher may both send it

_watched = False  # by a process that ends this one at once where it has to


def leave_ends_to_the_parent() -> None:
    """Let signals after the first do nothing, in a process that another one started, watches and can kill.

    Both may receive a signal, and the parent passes it on: it may arrive when the run has already stopped.
    """
    global _watched
    _watched = True


class Interrupted(KeyboardInterrupt):
    """A signal stopped the training between two steps, after a checkpoint was saved (where one was asked for).

    Like the KeyboardInterrupt that it is, it passes every `except Exception`.

    Attributes:
        signal: SIGTERM or SIGINT.
        step: the last step that was finished.
    """

    def __init__(self, signal: signal.Signals, step: int) -> None:
        super().__init__(f"stopped by {signal.name} after step {step}")
        self.signal, self.step = signal, step

    def __reduce__(self) -> tuple[type["Interrupted"], tuple[signal.Signals, int]]:
        return Interrupted, (self.signal, self.step)

    @property
    def line(self) -> str:
        """What a person is told."""
        return f"{self}, which is saved"


class HeldSignals:
    """Holds SIGTERM and SIGINT back in a block: the first of them is kept, one that comes over a second later is not.

    By default that one has its former effect, which ends the process at once. Only the main thread can receive signals:
    in any other nothing is held back, nor is a signal that the process ignores.

    Attributes:
        received: the signal that arrived first.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._at = 0.0
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                # None: a handler that was not set from Python and so cannot be restored
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._former[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._restore()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self._at = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self._at >= _SAME:
            self.receive_again(number)

    def receive_again(self, number: int) -> None:
        """What a later signal does."""
        if not _watched:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        ends = _watched and self.received is not None  # what is left is to tell the parent, which asks only once
        for number, handler in self._former.items():
            signal.signal(number, signal.SIG_IGN if ends else handler)
        self._former = {}
