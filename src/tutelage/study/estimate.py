"""What a study would cost, measured on a few steps of every kind of run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tutelage.study.build import build
from tutelage.study.jobs import plan
from tutelage.study.load import Study
from tutelage.study.run import Runner
from tutelage.train import Streams, fit, training_loader

_WARM, _TIMED = 1, 3


@dataclass
class Estimate:
    """One kind of run: a single-task network, or all tasks by one method."""

    name: str
    runs: int
    steps: int
    parameters: int
    seconds: float  # a run

    @property
    def total(self) -> float:
        """Seconds of all its runs."""
        return self.runs * self.seconds


class _Silent:
    def start(self, name: str, index: int, of: int, resumed: int) -> None: ...
    def finish(self, name: str, metrics: Mapping[str, Mapping[str, float]]) -> None: ...
    def note(self, text: str) -> None: ...
    def step(self, step: int, total: int) -> None: ...
    def log(self, step: int, values: Mapping[str, float]) -> None: ...


def estimate(study: Study) -> list[Estimate]:
    """Build every kind of run, train it for a few steps, and forget it: what works here works in the study.

    Only the step is timed; evaluation and the loading of the data come on top.
    """
    runner = Runner(study, _Silent())
    fabric = runner.fabric()
    found = []
    for job in (job for job in plan(study) if job.seed == study.config.seeds[0] and job.given(study) is None):
        tasks = job.tasks(study)
        run, streams = build(study, job, fabric.device, trained=False)
        config, length = replace(job.training(study), workers=0), streams.length
        sizes = config.batch_size, config.epochs, config.accumulate
        warm = 0.0
        for stop in (_WARM, _WARM + _TIMED):
            warm = run.seconds
            few = Streams(streams.streams, *sizes, stop, length.draws)
            batches = list(training_loader(few, tasks, config, job.seed, run.step))  # loaded before the clock starts
            fit(fabric, run, tasks, batches, config, few.length, job.seed)
        seconds = length.steps * (run.seconds - warm) / _TIMED
        parameters = sum(p.numel() for p in run.student.parameters())
        name = f"{job.method} {job.task}" if job.task else job.method
        found.append(Estimate(name, len(study.config.seeds), length.steps, parameters, seconds))
    return found
