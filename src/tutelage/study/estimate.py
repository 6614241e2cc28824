"""What a study would cost, measured on a few steps of every kind of run."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from tutelage.study.budget import training_config
from tutelage.study.build import build_run
from tutelage.study.config import Study
from tutelage.study.execute import fabric_for
from tutelage.study.launch.order import last_end
from tutelage.study.memory_format import with_memory_format
from tutelage.study.observers import Silent
from tutelage.study.plan import RunSpec, kinds
from tutelage.study.predictions import shown_predictions
from tutelage.study.teacher_cache import cache_cost
from tutelage.train import Streams, TrainConfig, fit, freed_memory_kept, training_loader

_STEPS = 5  # the first is slow, since libraries prepare; the last is observed


@dataclass
class Estimate:
    """One kind of run: a single-task network, or all tasks by one method."""

    name: str
    runs: int  # that are left to train
    epochs: float
    batch: str  # images of a forward pass, times the passes of a step
    rate: float  # of the student, at the first step
    steps: int
    parameters: int
    seconds: float  # a run
    disk_bytes: int  # of the folder of a run
    cache_bytes: int = 0  # of its teachers, for a seed
    cache_seconds: float = 0.0  # in which it is filled


def estimate(
    study: Study, specs: Sequence[RunSpec], threads: int | None, note: Callable[[str], None]
) -> list[Estimate]:
    """Build every kind of run, train it for a few steps, and forget it: what works here works in the study.

    Only the steps are timed; evaluation and the loading of the data come on top. Of the disk, checkpoint, student and
    predictions are counted, which are most of it.

    Args:
        study: whose runs.
        specs: those that are left to train.
        threads: of a run; None: those of this process.
        note: is told which kind is tried next.
    """
    own = torch.get_num_threads()
    torch.set_num_threads(threads or own)
    fabric = fabric_for(study.objects.train)
    try:
        with freed_memory_kept(fabric.device):
            return _estimate(study, specs, fabric, note)
    finally:
        torch.set_num_threads(own)


def _estimate(study: Study, specs: Sequence[RunSpec], fabric: Fabric, note: Callable[[str], None]) -> list[Estimate]:
    trained = [spec for spec in specs if spec.file is None]
    left = Counter(map(kind_of, trained))
    estimates = []
    for number, spec in enumerate(kinds(trained), 1):
        note(f"[{number}/{len(left)}] {kind_of(spec)}: a few steps")
        silent = Silent().note  # the run itself says so
        objects = with_memory_format(spec, study.build(spec.config), None, silent)
        run, streams = build_run(spec, objects, study.folder, fabric.device, trained=False)
        rate = run.optimisers.lr()["student"]
        config, length = training_config(spec, objects), streams.length
        sizes = config.batch_size, config.epochs, config.accumulate
        few = Streams(streams.streams, *sizes, _STEPS, length.draws)
        short = replace(config, workers=0, observe_steps=_STEPS)
        batches = list(training_loader(few, objects.tasks, short, spec.seed, run.step))  # before the clock starts
        clock = _Clock(fabric.device)
        fit(fabric, run, objects.tasks, batches, short, few.length, spec.seed, observer=clock)
        seconds = _seconds(clock.seconds, length.steps, config.observe_steps or length.per_epoch)
        parameters = sum(p.numel() for p in run.student.parameters())
        shown = shown_predictions(fabric, run.result, objects.tasks, objects.data)
        disk = sum(map(_bytes, (run.state_dict(), run.result.state_dict(), shown)))
        cost = cache_cost(spec, objects, run, streams, fabric)
        plan_of = (length.steps / length.per_epoch, _batch(config), rate, length.steps, parameters, seconds, disk)
        estimates.append(Estimate(kind_of(spec), left[kind_of(spec)], *plan_of, *cost))
    return estimates


def total_seconds(specs: Sequence[RunSpec], kinds: Sequence[Estimate], jobs: int) -> float:
    """Seconds until the last of these runs has ended, so many at once; runs that are not trained take none."""
    of_kind = {kind.name: kind.seconds for kind in kinds}
    return last_end(specs, lambda spec: of_kind.get(kind_of(spec), 0.0), jobs)


class _Clock(Silent):
    """Measures the seconds of every step.

    Args:
        device: on which the steps are computed.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, list[float]()
        self.last = self._now()

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return perf_counter()

    def step(self, step: int, total: int) -> None:
        """After every step."""
        now = self._now()
        self.seconds.append(now - self.last)
        self.last = now


def _seconds(few: Sequence[float], steps: int, every: int) -> float:
    """The seconds of a run, from those of a few steps, of which the last is observed.

    The middle one of the others counts: now and then another program slows one down.

    Args:
        few: of each step.
        steps: of the run.
        every: after how many of them one is observed.

    >>> _seconds([4.0, 9.0, 0.9, 1.0, 2.0], steps=18, every=6)
    24.0
    """
    plain = median(few[1:-1] or few)
    first, observed = (max(0.0, seconds - plain) for seconds in (few[0], few[-1]))
    return steps * plain + first + math.ceil(steps / every) * observed


def kind_of(spec: RunSpec) -> str:
    """The name of the kind of a run: of its label, without the seed."""
    return spec.label.removesuffix(f", seed {spec.seed}")


def _batch(config: TrainConfig) -> str:
    return str(config.batch_size) + (f"x{config.accumulate}" if config.accumulate > 1 else "")


def _bytes(value: Any) -> int:
    """The bytes of all tensors in containers."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, list | tuple) else 0
