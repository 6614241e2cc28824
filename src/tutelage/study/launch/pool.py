"""Several processes of this machine execute runs side by side, and tell the calling one."""

import time
from collections.abc import Sequence
from multiprocessing.connection import wait

from tutelage.study.launch.base import Display
from tutelage.study.launch.hold import Hold, StudyInterrupted
from tutelage.study.launch.order import dependents, longest_chain_first
from tutelage.study.launch.outcome import failure
from tutelage.study.launch.ready import Ready
from tutelage.study.launch.share import Share
from tutelage.study.launch.worker_process import WorkerProcess
from tutelage.study.plan import RunSpec

_LOOK, _RETRY = 0.5, 2.0  # seconds until signals, and runs that other processes hold, are looked at again


class Pool:
    """Executes the runs of a study side by side, one per share of the machine, the longest chain of runs first.

    A run that fails ends itself and what needs it; the others are finished, and then its error is raised. A process
    that dies is not replaced while others are left, since memory is usually what is short. Other processes may work in
    the same folder.

    Args:
        shares: what each of the runs that go on at once may use.
    """

    def __init__(self, shares: Sequence[Share]) -> None:
        self.shares = shares

    def launch(self, ready: Ready, display: Display) -> None:
        """Execute every run without a result."""
        launch = _Launch(ready, display, self.shares)
        try:
            launch.run()
        finally:
            for worker in launch.workers:
                worker.end()


class _Launch:
    """One launch.

    Attributes:
        waiting: the runs that are not begun, in the order in which they should be.
        taken: id of a run that another process trains -> when it is looked at again.
        free: the shares that no process has.
        error: of the first run that failed.
        steps: label of a run that a signal stopped -> its last step, which is saved.
    """

    def __init__(self, ready: Ready, display: Display, shares: Sequence[Share]) -> None:
        self.ready, self.display = ready, display
        self.waiting = longest_chain_first(ready.refresh(display.count))
        self.taken: dict[str, float] = {}
        self.free, self.workers = list(shares), list[WorkerProcess]()
        self.error: BaseException | None = None
        self.steps: dict[str, int] = {}

    def run(self) -> None:
        """Execute the runs until there are none left, or a signal arrives."""
        with Hold() as hold:
            while busy := [worker for worker in self.workers if worker.spec] or self.waiting:
                if hold.received is None:
                    self._assign()
                elif busy is self.waiting:
                    break
                if self.workers:
                    wait([worker.connection for worker in self.workers], _LOOK)
                else:
                    time.sleep(_LOOK)
                if hold.received is not None:  # before they are heard: a signal to all may have stopped some already
                    self._stop(hold)
                for worker in list(self.workers):
                    self._listen(worker)
        if hold.received is not None:
            raise StudyInterrupted(hold.received, self.steps)
        if self.error is not None:
            raise self.error

    def _assign(self) -> None:
        """Give runs that are ready to processes that have none."""
        idle = [worker for worker in self.workers if worker.spec is None]
        if not idle and not self.free:
            return
        if any(map(self.ready.is_finished, self.waiting)):  # by another process
            unfinished = self.ready.refresh(self.display.count)
            self.waiting = [spec for spec in self.waiting if spec in unfinished]
        now = time.monotonic()
        for spec in list(self.waiting):
            if self.ready.is_possible(spec) and self.taken.get(spec.id, 0.0) <= now and (idle or self.free):
                if not idle:
                    idle.append(WorkerProcess(self.free.pop(0), self.ready, self.display))
                    self.workers.append(idle[0])
                self.waiting.remove(spec)
                idle.pop().begin(spec)

    def _listen(self, worker: WorkerProcess) -> None:
        """Take what a process has said, or its end."""
        spec, outcome = worker.spec, worker.listen()
        if worker.spec is None and not worker.alive:
            worker.end()
            self.workers.remove(worker)
            if not self.workers:
                self.free.append(worker.share)
        if outcome is None or spec is None:
            return
        if outcome.state == "finished":
            self.ready.refresh(self.display.count)
        elif outcome.state == "stopped":
            self.steps |= {} if outcome.step is None else {spec.label: outcome.step}
        elif outcome.state == "taken":
            if not self.taken:
                self.display.note(f"{spec.label} is trained by another process")
            self.taken[spec.id] = time.monotonic() + _RETRY
            self.waiting = longest_chain_first([*self.waiting, spec])
        else:
            self._fail(spec, outcome.raised())

    def _fail(self, spec: RunSpec, error: BaseException) -> None:
        """Leave out what needs a run that failed, and keep the first error for the end."""
        self.error = self.error or error
        lost = dependents(spec.id, self.waiting)
        self.waiting = [other for other in self.waiting if other not in lost]
        self.display.note(failure(spec, error, lost))

    def _stop(self, hold: Hold) -> None:
        for worker in self.workers:
            if hold.again:
                worker.process.kill()
            elif worker.spec is not None:
                worker.stop()
