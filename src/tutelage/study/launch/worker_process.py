"""A process that executes runs, seen from the one that started it."""

import os
import signal
from contextlib import suppress
from multiprocessing.process import BaseProcess

from tutelage.errors import UserError
from tutelage.study.launch.base import Display, RunDisplay
from tutelage.study.launch.outcome import Outcome
from tutelage.study.launch.ready import Ready
from tutelage.study.launch.share import Share
from tutelage.study.launch.worker import work
from tutelage.study.plan import RunSpec
from tutelage.study.start_method import process_context, start

_DEFECTS = ("SIGSEGV", "SIGABRT", "SIGFPE", "SIGILL", "SIGBUS")


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
        context, environ = process_context(), {**os.environ, **share.environment()}
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=work, args=(theirs, ready.study.folder, share.threads, environ)
        )
        start(self.process)
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
