"""Signals that ask a run to stop, held back until it is where it can continue from."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

STOPPING = (signal.SIGTERM, signal.SIGINT)


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


class HeldSignals:
    """Holds SIGTERM and SIGINT back in a block: the first of them is kept, the second has its former effect.

    By default that ends the process at once. Only the main thread can receive signals: in any other nothing is held
    back, and neither is a signal that the process ignores.

    Attributes:
        received: the signal that arrived.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
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
        self.received = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former = {}
