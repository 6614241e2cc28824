"""A Ray cluster executes runs: each is a task whose needs are its dependencies."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tutelage.errors import UserError, one_line
from tutelage.study.launch.base import Display, RunDisplay
from tutelage.study.launch.hold import Hold, StudyInterrupted
from tutelage.study.launch.mirror import Mirror
from tutelage.study.launch.order import dependents, longest_chain_first
from tutelage.study.launch.outcome import Outcome, failure
from tutelage.study.launch.ray_task import execute_remotely, sender
from tutelage.study.launch.ready import Ready
from tutelage.study.plan import RunSpec
from tutelage.study.several import on_gpu
from tutelage.train import TrainConfig

_LOOK = 0.5  # seconds between two looks at messages and signals
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else every process warns of what a later version will do
}


class Ray:
    """Executes the runs of a study as tasks of Ray, in the cluster of `RAY_ADDRESS`, or on this machine without it.

    A run whose process or machine is lost is executed again, from its last checkpoint. Every machine needs the same
    installation and the data under the same path, and the study's folder too, unless there is a store.

    Args:
        cpus: cores, and threads, of a run; by default one per device.
        gpus: GPUs of a run, also parts of one; by default one per device if the study is trained with CUDA.
        store: URL of fsspec for the folders of runs.
        retries: how often a lost run is executed again.
    """

    def __init__(
        self, cpus: int | None = None, gpus: float | None = None, store: str | None = None, retries: int = 5
    ) -> None:
        if cpus is not None and cpus < 1:
            raise UserError(f"--cpus-per-run: expected at least 1, found {cpus}")
        if gpus is not None and gpus < 0:
            raise UserError(f"--gpus-per-run: expected 0 or more, found {gpus:g}")
        os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})  # read at the import
        try:
            import ray  # noqa: F401  # an extra: nobody else needs it
        except ImportError as error:
            raise UserError("--launcher ray: expected Ray, found none; pip install 'tutelage[ray]'") from error
        self.cpus, self.gpus, self.store, self.retries = cpus, gpus, store, retries

    def launch(self, ready: Ready, display: Display) -> None:
        """Execute every run without a result."""
        mirror = None if self.store is None else Mirror(self.store)
        if mirror is not None:
            _exchange(mirror, ready)
        unfinished = longest_chain_first(ready.refresh(display.count))
        if unfinished:
            with _connected() as ray:
                launch = _Launch(self, ray, ready, display, mirror)
                launch.submit(unfinished)
                launch.watch()

    def resources(self, train: TrainConfig) -> tuple[int, float]:
        """The cores and the GPUs of a run of a study."""
        cuda = train.accelerator == "cuda" or on_gpu(train)  # the cluster may have GPUs that this machine lacks
        return self.cpus or train.devices, float(cuda * train.devices) if self.gpus is None else self.gpus


@contextmanager
def _connected() -> Iterator[Any]:
    """Ray, connected to the cluster of RAY_ADDRESS or started on this machine, unless it is connected already."""
    import ray

    if ray.is_initialized():
        yield ray
        return
    if "RAY_ADDRESS" in os.environ:
        try:
            ray.init(log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as error:  # what Ray raises for an address
            raise UserError(
                f"RAY_ADDRESS: expected the address of a Ray cluster, found {os.environ['RAY_ADDRESS']}, where none "
                f"answers ({one_line(error, 100)}); start one with `ray start --head`, or unset it to run on this "
                "machine"
            ) from error
    else:
        ray.init(address="local", include_dashboard=False, log_to_driver=False)
    try:
        yield ray
    finally:
        ray.shutdown()


def _exchange(mirror: Mirror, ready: Ready) -> None:
    """Fetch the results that only the store has, and store what only this machine has."""
    for spec in ready.specs:
        there, here = mirror.has_result(spec.id), ready.is_finished(spec)
        if there and not here:
            mirror.pull(spec.id, ready.study.folder, but=("checkpoint.pt",))
        elif here and not there:
            mirror.push(spec.id, ready.study.folder)


class _Launch:
    """One launch on a cluster.

    Attributes:
        tasks: reference to the outcome of every run that has not ended -> the run.
        watched: id of a run -> who watches it.
        error: of the first run that failed.
        lost: ids of the runs that need one that failed.
        steps: label of a run that a signal stopped -> its last step, which is saved.
    """

    def __init__(self, launcher: Ray, ray: Any, ready: Ready, display: Display, mirror: Mirror | None) -> None:
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.launcher, self.ray, self.ready, self.display, self.mirror = launcher, ray, ready, display, mirror
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self.queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})  # it must not be preempted
        self.tasks: dict[Any, RunSpec] = {}
        self.watched: dict[str, RunDisplay] = {}
        self.error: BaseException | None = None
        self.steps: dict[str, int] = {}
        self.lost, self.stopped = set[str](), False

    def submit(self, specs: list[RunSpec]) -> None:
        """Hand all runs to Ray, which begins each when what it needs has ended."""
        folder, of = self.ready.study.folder.absolute(), len(self.ready.specs)
        cpus, gpus = self.launcher.resources(self.ready.study.objects.train)
        execute = self.ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=self.launcher.retries)(execute_remotely)
        references: dict[str, Any] = {}
        for spec in specs:
            needs = [references[need] for need in spec.needs if need in references]
            say = sender(self.queue, spec.id)
            references[spec.id] = execute.remote(spec, folder, self.launcher.store, cpus, say, *needs)
            self.watched[spec.id] = self.display.run(spec.label, self.ready.specs.index(spec), of)
        self.tasks = {references[spec.id]: spec for spec in specs}

    def watch(self) -> None:
        """Pass on what the runs say, and take their results, until all have ended."""
        with Hold() as hold:
            while self.tasks and not hold.again:
                if hold.received is not None and not self.stopped:
                    self.stopped = True
                    for task in self.tasks:
                        self.ray.cancel(task)  # as Ctrl-C: a run that has begun saves itself
                ended, _ = self.ray.wait(list(self.tasks), timeout=_LOOK)
                self._listen()
                for task in ended:
                    self._end(self.tasks.pop(task), task)
        if hold.received is not None:
            raise StudyInterrupted(hold.received, self.steps)
        if self.error is not None:
            raise self.error

    def _listen(self) -> None:
        for run, kind, *values in self.queue.get_nowait_batch(self.queue.qsize()):
            getattr(self.watched[run], kind)(*values)

    def _end(self, spec: RunSpec, task: Any) -> None:
        """Take the outcome of a run."""
        outcome, watched = self._outcome(spec, task), self.watched[spec.id]
        if outcome is None:  # it was left out, or cancelled before it had begun
            watched.stop()
        elif outcome.state == "finished":
            if self.mirror is not None:
                self.mirror.pull(spec.id, self.ready.study.folder, but=("checkpoint.pt",))
            watched.finish(outcome.metrics or {})
            self.ready.refresh(self.display.count)
        elif outcome.state == "stopped":
            watched.stop()
            self.steps |= {} if outcome.step is None else {spec.label: outcome.step}
        else:
            watched.stop()
            error = outcome.raised()
            self.error = self.error or error
            lost = dependents(spec.id, list(self.tasks.values()))
            self.lost |= {other.id for other in lost}
            self.display.note(failure(spec, error, lost))

    def _outcome(self, spec: RunSpec, task: Any) -> Outcome | None:
        try:
            outcome: Outcome | None = self.ray.get(task)
        except self.ray.exceptions.RayError as error:  # of Ray itself: what the run raises is an Outcome
            if self.stopped or spec.id in self.lost:
                return None
            if isinstance(error, self.ray.exceptions.RayTaskError):  # before the run began, such as from the store
                return Outcome("failed", error=error.cause)
            problem = UserError(
                f"{spec.label}: expected Ray to keep its process, found {type(error).__name__} after "
                f"{self.launcher.retries} retries: {one_line(error)}; give the same command again"
            )
            return Outcome("failed", error=problem)
        return outcome
