"""What balancing costs: time and memory of a step, compared with a plain sum of the losses in the same process."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import accumulate
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from tutelage.balance import (
    DBMTL,
    IMTLH,
    Aggregator,
    GradDrop,
    GradNorm,
    MoCo,
    Scalarizer,
    ScaleInvariant,
    Uncertainty,
    Uniform,
)
from tutelage.bench.costs import Cost, Kind
from tutelage.bench.mtl_backward import MtlBackward
from tutelage.distill import FeatureDistiller
from tutelage.errors import UserError
from tutelage.files import write_text
from tutelage.nets import SegNet
from tutelage.tasks import Depth, Normals, Segmentation
from tutelage.train import Optim, Optimisers, RunLength, TrainConfig, Training, fit, make_batch, seeded
from tutelage.types import Balancer, Batch, Sample, Task

SIZE, BATCH, FILTERS = (96, 128), 8, (16, 32, 64, 128, 128)  # a SegNet with a quarter of the width
_ENDLESS = 10**9  # steps
STEPS = 1  # per method in one round
# The highest ratio that each kind may have, by number of tasks; torchjd's own is there for comparison.
LIMITS: dict[Kind, dict[int, float]] = {
    "losses": {3: 1.05, 5: 1.05},
    "famo": {3: 1.40, 5: 1.30},
    "parameters": {3: 1.95, 5: 2.75},
    "representation": {3: 1.10, 5: 1.10},
    "torchjd": {},
}


METHODS: dict[str, tuple[Kind, Callable[[], Balancer]]] = {
    "DWA": ("losses", partial(Scalarizer, "DWA")),
    "STCH": ("losses", partial(Scalarizer, "STCH", {"mu": 1.0})),
    "UW": ("losses", partial(Scalarizer, "UW")),
    "Uncertainty": ("losses", Uncertainty),
    "ScaleInvariant": ("losses", ScaleInvariant),
    "FAMO": ("famo", partial(Scalarizer, "FAMO")),
    "MGDA": ("parameters", partial(Aggregator, "MGDA")),
    "PCGrad": ("parameters", partial(Aggregator, "PCGrad")),
    "UPGrad": ("parameters", partial(Aggregator, "UPGrad")),
    "CAGrad": ("parameters", partial(Aggregator, "CAGrad", {"c": 0.4})),
    "MoCo": ("parameters", MoCo),
    "DBMTL": ("parameters", DBMTL),
    "MGDA-UB": ("representation", partial(Aggregator, "MGDA", where="representation")),
    "GradDrop": ("representation", GradDrop),
    "GradNorm": ("representation", GradNorm),
    "IMTLH": ("representation", IMTLH),
    "mtl_backward, 1 by 1": ("torchjd", partial(MtlBackward, "PCGrad", 1)),
    "mtl_backward, all": ("torchjd", partial(MtlBackward, "PCGrad", None)),
}


class _Case:
    """A run of one method."""

    def __init__(self, balancer: Balancer, tasks: dict[str, Task], batch: Batch, distilled: bool) -> None:
        widths = {t: task.width for t, task in tasks.items()}
        with seeded(0, "bench"):
            net = SegNet(widths, filters=FILTERS).to(memory_format=torch.channels_last)
            teachers = {t: SegNet({t: widths[t]}, filters=FILTERS) for t in tasks} if distilled else {}
            match = {"bottleneck": "bottleneck", "last": "last"}
            distiller = FeatureDistiller(net, teachers, batch.images[:1], match) if distilled else None
        if distiller is not None:
            distiller.setup(tasks)
        balancer.setup(tasks, net, distiller)
        parts = {
            "student": (list(net.parameters()), Optim()),
            "adaptors": ([] if distiller is None else [p for p in distiller.parameters() if p.requires_grad], Optim()),
            "balancer": (list(balancer.parameters()), Optim()),
        }
        self.shared = sum(p.numel() for p in net.shared_parameters())
        self.run = Training(net, distiller, balancer, Optimisers(parts, 1, 1))
        self.tasks, self.batch = tasks, batch
        # So long that no step ends an epoch or writes a line of the log: that is no part of the cost.
        self.length = RunLength(steps=_ENDLESS, per_epoch=_ENDLESS, scheduled=_ENDLESS)
        self.config = TrainConfig(log_steps=_ENDLESS, precision="32-true", accelerator="cpu")
        self.fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")

    def seconds(self, steps: int) -> float:
        """Seconds per step, in the loop that training uses."""
        started = perf_counter()
        fit(self.fabric, self.run, self.tasks, [self.batch] * steps, self.config, self.length, seed=0)
        return (perf_counter() - started) / steps

    def peak(self) -> int:
        """Bytes at the peak of the first two steps."""
        with _quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            self.seconds(2)
        results: Any = profiler.profiler and profiler.profiler.kineto_results
        changes = sorted((e.start_ns(), e.nbytes()) for e in results.events() if e.name() == "[memory]")
        return int(max(accumulate(change for _, change in changes)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's profiler, which writes to the process's standard error at every start."""
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def bench(
    counts: Sequence[int] = (3, 5), rounds: int = 7, steps: int = STEPS, note: Callable[[str], None] = print
) -> list[Cost]:
    """Measure every method, in turns with the plain sum, so that other load on the machine affects all alike.

    Args:
        counts: numbers of tasks.
        rounds: number of ratios per method, of which the median is reported.
        steps: steps per method in one round.
        note: called with a line about what is measured next.
    """
    return [cost for n in counts for distilled in (False, True) for cost in _measure(n, distilled, rounds, steps, note)]


def write(path: Path, costs: Sequence[Cost], rounds: int, steps: int = STEPS) -> None:
    """Write the costs as JSON, with what they were measured on."""
    facts = {
        "net": f"SegNet, filters {FILTERS}, {SIZE[0]}x{SIZE[1]}, batch {BATCH}, fp32, CPU",
        "rounds": rounds,
        "steps": steps,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "torchjd": importlib.metadata.version("torchjd"),
        "platform": platform.platform(),
    }
    write_text(path, json.dumps({**facts, "costs": [asdict(cost) for cost in costs]}, indent=1) + "\n")


def _measure(count: int, distilled: bool, rounds: int, steps: int, note: Callable[[str], None]) -> list[Cost]:
    tasks, batch = _tasks(count), _batch(_tasks(count))
    chosen = {name: each for name, each in METHODS.items() if each[0] != "torchjd" or not distilled}
    peaks = {"": _Case(Uniform(), tasks, batch, distilled).peak()}
    peaks |= {
        n: _Case(make(), tasks, batch, distilled).peak() for n, (kind, make) in chosen.items() if kind != "losses"
    }
    cases = {"": _Case(Uniform(), tasks, batch, distilled)}
    cases |= {name: _Case(make(), tasks, batch, distilled) for name, (_, make) in chosen.items()}
    for case in cases.values():
        case.seconds(1)
    ratios: dict[str, list[float]] = {name: [] for name in chosen}
    for n in range(rounds):
        note(f"{count} tasks{', distilled' if distilled else ''}: round {n + 1} of {rounds}")
        before = cases[""].seconds(steps)
        for name in chosen:  # the plain sum before and after each, since the speed of a machine drifts
            own, after = cases[name].seconds(steps), cases[""].seconds(steps)
            ratios[name].append(2 * own / (before + after))
            before = after
    costs = []
    for name, (kind, _) in chosen.items():
        low, _, high = quantiles(ratios[name], n=4, method="inclusive") if rounds > 1 else ratios[name] * 3
        room = round(0.1 * peaks[""]) + (count + 1) * cases[""].shared * 4
        over = peaks[name] - peaks[""] if name in peaks else None
        limit = LIMITS[kind].get(count)
        room += count * cases[""].shared * 4 if name in ("MoCo", "DBMTL") else 0  # which keep one gradient per task
        at_most = room if kind == "parameters" else None
        costs.append(Cost(count, distilled, name, kind, median(ratios[name]), low, high, limit, over, at_most))
    return costs


def _tasks(count: int) -> dict[str, Task]:
    every: dict[str, Task] = {
        "segmentation": Segmentation(classes=13),
        "depth": Depth(),
        "normals": Normals(),
        "parts": Segmentation(classes=7),
        "distance": Depth(),
    }
    if not 2 <= count <= len(every):
        raise UserError(f"--tasks: expected numbers from 2 to {len(every)}, found {count}")
    return dict(list(every.items())[:count])


def _batch(tasks: dict[str, Task]) -> Batch:
    generator = torch.Generator().manual_seed(0)

    def label(task: Task) -> Tensor:
        if isinstance(task, Segmentation):
            return torch.randint(0, task.width, SIZE, generator=generator)
        return torch.rand(task.width, *SIZE, generator=generator) + 0.1

    samples = [
        Sample(image=torch.rand(3, *SIZE, generator=generator), labels={t: label(task) for t, task in tasks.items()})
        for _ in range(BATCH)
    ]
    return make_batch(samples, tasks)
