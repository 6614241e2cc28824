"""What a study would cost, measured on a few steps of every kind of run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from tutelage.study.budget import training_config
from tutelage.study.build import build_run
from tutelage.study.config import Study
from tutelage.study.execute import fabric_for
from tutelage.study.memory_format import with_memory_format
from tutelage.study.observers import Silent
from tutelage.study.plan import plan
from tutelage.study.predictions import shown_predictions
from tutelage.study.teacher_cache import cache_cost
from tutelage.train import Streams, fit, training_loader

_WARM, _TIMED = 1, 3


@dataclass
class Estimate:
    """One kind of run: a single-task network, or all tasks by one method."""

    name: str
    runs: int
    epochs: float
    batch: str  # images of a forward pass, times the passes of a step
    rate: float  # of the student, at the first step
    steps: int
    parameters: int
    seconds: float  # a run
    disk_bytes: int  # of the folder of a run
    cache_bytes: int = 0  # of its teachers, for a seed
    cache_seconds: float = 0.0  # in which it is filled

    @property
    def total(self) -> float:
        """Seconds of all its runs."""
        return self.runs * self.seconds


def estimate(study: Study) -> list[Estimate]:
    """Build every kind of run, train it for a few steps, and forget it: what works here works in the study.

    Only the step is timed; evaluation and the loading of the data come on top. Of the disk, checkpoint, student and
    predictions are counted, which are most of it.
    """
    fabric = fabric_for(study.objects.train)
    estimates = []
    for spec in (spec for spec in plan(study.values) if spec.seed == study.seeds[0] and spec.file is None):
        note = Silent().note  # the run itself says so
        objects = with_memory_format(spec, study.build(spec.config), None, note)
        run, streams = build_run(spec, objects, study.folder, fabric.device, trained=False)
        rate = run.optimisers.lr()["student"]
        config, length = replace(training_config(spec, objects), workers=0), streams.length
        sizes = config.batch_size, config.epochs, config.accumulate
        warm = 0.0
        for stop in (_WARM, _WARM + _TIMED):
            warm = run.seconds
            few = Streams(streams.streams, *sizes, stop, length.draws)
            loader = training_loader(few, objects.tasks, config, spec.seed, run.step)
            fit(
                fabric, run, objects.tasks, list(loader), config, few.length, spec.seed
            )  # loaded before the clock starts
        seconds = length.steps * (run.seconds - warm) / _TIMED
        parameters = sum(p.numel() for p in run.student.parameters())
        shown = shown_predictions(fabric, run.result, objects.tasks, objects.data)
        disk = sum(map(_bytes, (run.state_dict(), run.result.state_dict(), shown)))
        name = spec.label.removesuffix(f", seed {spec.seed}")
        cost = cache_cost(spec, objects, run, streams, fabric)
        batch = str(config.batch_size) + (f"x{config.accumulate}" if config.accumulate > 1 else "")
        plan_of = (length.steps / length.per_epoch, batch, rate, length.steps, parameters, seconds, disk)
        estimates.append(Estimate(name, len(study.seeds), *plan_of, *cost))
    return estimates


def _bytes(value: Any) -> int:
    """The bytes of all tensors in containers."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, list | tuple) else 0
