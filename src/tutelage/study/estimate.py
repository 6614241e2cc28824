"""What a study would cost, measured on a few steps of every kind of run."""

from dataclasses import dataclass, replace

from tutelage.study.build import build_run
from tutelage.study.config import Study
from tutelage.study.execute import fabric_for
from tutelage.study.plan import plan
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


def estimate(study: Study) -> list[Estimate]:
    """Build every kind of run, train it for a few steps, and forget it: what works here works in the study.

    Only the step is timed; evaluation and the loading of the data come on top.
    """
    fabric = fabric_for(study.objects.train)
    estimates = []
    for spec in (spec for spec in plan(study.values) if spec.seed == study.seeds[0] and spec.file is None):
        objects = study.build(spec.config)
        run, streams = build_run(spec, objects, study.folder, fabric.device, trained=False)
        warm = 0.0
        for stop in (_WARM, _WARM + _TIMED):
            warm = run.seconds
            few = Streams(streams.streams, replace(streams.config, max_steps=stop, workers=0), streams.draws)
            batches = list(training_loader(few, objects.tasks, spec.seed, run.step))  # loaded before the clock starts
            fit(fabric, run, objects.tasks, batches, few, spec.seed)
        seconds = streams.steps * (run.seconds - warm) / _TIMED
        parameters = sum(p.numel() for p in run.student.parameters())
        name = spec.label.removesuffix(f", seed {spec.seed}")
        estimates.append(Estimate(name, len(study.seeds), streams.steps, parameters, seconds))
    return estimates
