"""A process that executes runs for the one that started it."""

import multiprocessing
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from tutelage.study.config import Builder
from tutelage.study.launch.outcome import attempt
from tutelage.study.observers import Sender
from tutelage.study.start_method import take_environment, take_signals
from tutelage.train import leave_ends_to_the_parent


def work(connection: Connection, folder: Path, threads: int, environ: Mapping[str, str]) -> None:
    """Execute the runs that arrive, until there are no more.

    Ctrl-C reaches every process of a terminal, so it is left to the one that started this one, which passes it on as
    SIGTERM. If that process dies, a run stops after its current step, with a checkpoint.

    Args:
        connection: gets specs of runs; sends ("begin", step), ("step", step, total), ("log", step, values),
            ("note", text) and, at the end of a run, ("end", its Outcome).
        folder: of the study.
        threads: of the computations on the CPU.
        environ: the variables of its environment: its GPUs are named there.
    """
    take_environment(environ)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    take_signals()
    leave_ends_to_the_parent()
    torch.set_num_threads(threads)

    def send(*message: Any) -> None:
        with suppress(ConnectionError):  # nobody is left to read it
            connection.send(message)

    build, observer = Builder(), _Child(send)
    try:
        send("ready")
        stopped = False
        while not stopped:
            outcome = attempt(connection.recv(), folder, observer, build)
            stopped = outcome.state == "stopped"
            if stopped:  # the same request may arrive twice: from a batch system, too
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            send("end", outcome)
    except (EOFError, ConnectionError, KeyboardInterrupt):  # there are no more, or a signal arrived between two runs
        connection.close()


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


class _Child(Sender):
    """The same in a process that stops after the current step if the process that started it dies."""

    def __init__(self, send: Callable[..., None]) -> None:
        super().__init__(send)
        parent = multiprocessing.parent_process()
        assert parent is not None
        self.parent = parent

    def step(self, step: int, total: int) -> None:
        """After every step."""
        if not self.parent.is_alive():
            signal.raise_signal(signal.SIGTERM)
        super().step(step, total)
