"""Who watches one run: here, in another process, or nobody."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tutelage.train import Observer


class RunObserver(Observer, Protocol):
    """Who watches one run."""

    def begin(self, resumed: int) -> None:
        """The run begins, or continues after `resumed` steps."""

    def note(self, text: str) -> None:
        """One line to the user."""


class Silent:
    """The observer in a process that is not the main one."""

    def begin(self, resumed: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def step(self, step: int, total: int) -> None:
        """Nothing."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""


class Relay:
    """The observer in the main one of several processes: passes on what it is told."""

    def __init__(self, send: Callable[[tuple[str, Any]], None]) -> None:
        self._send = send

    def begin(self, resumed: int) -> None:
        """Passed on."""
        self._send(("begin", (resumed,)))

    def note(self, text: str) -> None:
        """Passed on."""
        self._send(("note", (text,)))

    def step(self, step: int, total: int) -> None:
        """Passed on."""
        self._send(("step", (step, total)))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Passed on."""
        self._send(("log", (step, dict(values))))
