"""What a study would cost, measured on a few steps of every kind of run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tutelage.study.config import SINGLE
from tutelage.study.jobs import plan
from tutelage.study.load import Study
from tutelage.study.run import Runner
from tutelage.train import fit, training_loader

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
    fabric, source = runner.fabric(), study.config.data
    images = len(runner.images)
    found = []
    for job in (job for job in plan(study) if job.seed == study.config.seeds[0] and job.given(study) is None):
        run, tasks, train = runner.build(job, fabric.device, trained=False), job.tasks(study), job.training(study)
        steps = train.steps(images)
        warm = 0.0
        for stop in (_WARM, _WARM + _TIMED):
            warm = run.seconds
            config = replace(train, max_steps=stop, workers=0)
            batches = training_loader(
                runner.images, source.modalities, tasks, config, job.seed, run.step, source.name, run.balancer.draws
            )
            fit(fabric, run, tasks, list(batches), config, images, job.seed)  # loaded before the clock starts
        seconds = steps * (run.seconds - warm) / _TIMED
        parameters = sum(p.numel() for p in run.student.parameters())
        name = f"{SINGLE} {job.task}" if job.task else job.method
        found.append(Estimate(name, len(study.config.seeds), steps, parameters, seconds))
    return found
