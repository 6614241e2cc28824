"""How this process starts others: forked from one that has imported what they need, and has done nothing else."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any

_PRELOADED = ["tutelage.study.execute", "tutelage.study.launch.worker", "torchmetrics"]
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_THREADS = "OMP_NUM_THREADS"


def process_context() -> Any:
    """What makes processes, pipes and shared values.

    On Linux the libraries are imported once for all processes, in one without threads and CUDA, from which they are
    forked in milliseconds. Elsewhere a fork is not safe, or not possible, and each imports them itself. Their
    environment is that of the first start, so a process begins with `take_environment`, and sets its threads.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    resource_tracker.ensure_running()  # first, since where it starts its process it lets the two signals through
    threads = os.environ.get(_THREADS)
    os.environ[_THREADS] = "1"  # more would be started by importing NumPy, and would be missing after a fork
    try:
        with _signals_blocked():
            forkserver.ensure_running()  # which would end by a signal to all processes of a terminal or a batch job
    finally:
        del os.environ[_THREADS]
        if threads is not None:
            os.environ[_THREADS] = threads
    return context


def start(process: BaseProcess) -> None:
    """Start a process that no signal reaches before it calls `take_signals`."""
    with _signals_blocked():
        process.start()


def take_environment(environ: Mapping[str, str]) -> None:
    """Give this process the variables of the one that started it."""
    for name in os.environ.keys() - environ.keys():
        del os.environ[name]
    os.environ.update(environ)


def take_signals() -> None:
    """Let signals reach a process that has said what they do."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back in a block, and from the processes that are started in it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
