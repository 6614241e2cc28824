"""Who watches one run: here, in another process, or nobody."""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from tutelage.train import Observer

_SECONDS = 0.2  # between two messages on steps


class RunObserver(Observer, Protocol):
    """Who watches one run."""

    def begin(self, resumed: int) -> None:
        """The run begins, or continues after `resumed` steps."""

    def note(self, text: str) -> None:
        """One line to the user."""


class Silent:
    """The observer that shows nothing: in a process that is not the main one, or where nobody watches."""

    def begin(self, resumed: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def step(self, step: int, total: int) -> None:
        """Nothing."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""


class Sender:
    """The observer of a run that tells another process.

    Args:
        send: sends a message: the name of a method of this class, and its arguments.
    """

    def __init__(self, send: Callable[..., None]) -> None:
        self.send, self.told = send, 0.0

    def begin(self, resumed: int) -> None:
        """The run begins, or continues after `resumed` steps."""
        self.send("begin", resumed)

    def step(self, step: int, total: int) -> None:
        """After every step, of which a display needs a few per second."""
        now = time.monotonic()
        if now - self.told >= _SECONDS or step == total:
            self.told = now
            self.send("step", step, total)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """With every line of the log."""
        self.send("log", step, dict(values))

    def note(self, text: str) -> None:
        """One line to the user."""
        self.send("note", text)
