"""A process that executes runs, seen from the one that started it."""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from tutelage.errors import UserError
from tutelage.study.launch.base import Display, RunDisplay
from tutelage.study.launch.outcome import Outcome
from tutelage.study.launch.ready import Ready
from tutelage.study.launch.share import Share
from tutelage.study.launch.worker import work
from tutelage.study.plan import RunSpec

_DEFECTS = ("SIGSEGV", "SIGABRT", "SIGFPE", "SIGILL", "SIGBUS")
_context = multiprocessing.get_context("spawn")  # a fork would share threads and CUDA with this process


class WorkerProcess:
    """Executes one run after the other.

    Args:
        share: what it may use.
        ready: the runs of the study.
        display: is told of every run.

    Attributes:
        spec: the run that it executes; None: it waits for one.
    """

    def __init__(self, share: Share, ready: Ready, display: Display) -> None:
        self.share, self.ready, self.display = share, ready, display
        self.spec: RunSpec | None = None
        self._watched: RunDisplay | None = None
        self._began = self._stopping = False
        self.connection, theirs = _context.Pipe()
        self.process = _context.Process(target=work, args=(theirs, ready.study.folder, share.threads))
        with _environment(share.environment()), _without_ctrl_c():
            self.process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        """Whether it can take another run."""
        return self.process.is_alive()

    def begin(self, spec: RunSpec) -> None:
        """Let it execute a run."""
        self.spec = spec
        self._watched = self.display.run(spec.label, self.ready.specs.index(spec), len(self.ready.specs))
        with suppress(ConnectionError):  # it has died, which `listen` reports
            self.connection.send(spec)

    def listen(self) -> Outcome | None:
        """Pass on what it has said since the last call; the outcome of its run, where that has ended."""
        alive = self.alive  # before its messages are read: the last ones of a dead process are still there
        try:
            while self.connection.poll():
                kind, *values = self.connection.recv()
                self._began = True
                if kind == "end":
                    return self._end(values[0])
                if kind != "ready":
                    getattr(self._watched, kind)(*values)
        except (EOFError, ConnectionError):
            self.process.join()
            alive = False
        return None if alive or self.spec is None else self._end(Outcome("failed", error=self._death(self.spec)))

    def _end(self, outcome: Outcome) -> Outcome:
        assert self._watched is not None
        assert self.spec is not None
        if outcome.state == "finished":
            self._watched.finish(outcome.metrics or {})
        else:
            self._watched.stop()
        if outcome.state == "failed" and self._stopping:  # it had not begun to hold signals back
            outcome = Outcome("stopped")
        elif outcome.state == "stopped" and not self._stopping:
            saved = "" if outcome.step is None else f" after step {outcome.step}, which is saved"
            outcome = Outcome("failed", error=UserError(f"{self.spec.label}: expected no signal, found SIGTERM{saved}"))
        self.spec = self._watched = None
        return outcome

    def _death(self, spec: RunSpec) -> Exception:
        """The error of a run whose process has died."""
        code = self.process.exitcode or 0
        if code >= 0:
            advice = "" if self._began else "; a script that starts a study needs `if __name__ == '__main__':`"
            return UserError(f"{spec.label}: expected its process to go on, found it ended with status {code}{advice}")
        name = signal.Signals(-code).name
        if name in _DEFECTS:
            return RuntimeError(f"{spec.label}: its process was ended by {name}")
        memory = " (the system does so when memory is short: then lower --jobs)" if name == "SIGKILL" else ""
        return UserError(
            f"{spec.label}: expected its process to go on, found it killed by {name}{memory}; give the same command "
            "again: it continues from the last checkpoint"
        )

    def stop(self) -> None:
        """Let its run save itself and end; once."""
        if not self._stopping:
            self.process.terminate()
        self._stopping = True

    def end(self) -> None:
        """Wait until the process has ended; a run that it still executes is stopped and saved."""
        self.connection.close()
        if self.spec is not None:
            self.stop()
        self.process.join()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Start processes with other variables than this one has."""
    former = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach, also before they can say so themselves."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
