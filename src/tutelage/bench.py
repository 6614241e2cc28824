"""`tutelage bench`: what balancing costs, as ratios to a plain sum of the losses in one process."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from rich.table import Table
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
from tutelage.data import Rooms
from tutelage.distill import FeatureDistiller
from tutelage.errors import UserError
from tutelage.files import write_text
from tutelage.nets import SegNet
from tutelage.tasks import Depth, Normals, Segmentation
from tutelage.train import Optim, Optimisers, Stream, Streams, TrainConfig, Training, fit, make_batch, seeded
from tutelage.types import Balancer, Batch, MultiTaskNet, Output, Reduce, Sample, Task, Terms

SIZE, BATCH, FILTERS = (96, 128), 8, (16, 32, 64, 128, 128)  # SegNet of a quarter of the width
STEPS = 1  # of a method in one round
Kind = Literal["losses", "famo", "parameters", "representation", "torchjd"]
# The most that each kind may cost, by number of tasks; torchjd's own is what `parameters` is compared with.
LIMITS: dict[Kind, dict[int, float]] = {
    "losses": {3: 1.05, 5: 1.05},
    "famo": {3: 1.40, 5: 1.30},
    "parameters": {3: 1.95, 5: 2.75},
    "representation": {3: 1.10, 5: 1.10},
    "torchjd": {},
}


class MtlBackward(Balancer):
    """torchjd's `mtl_backward` and `jac_to_grad`: the reference for exact gradients.

    Args:
        method: an aggregator of torchjd.
        chunk: how many tasks go back at a time; none: all, vectorised.
    """

    def __init__(self, method: str, chunk: int | None) -> None:
        super().__init__()
        from torchjd import aggregation

        self.aggregator, self.chunk = getattr(aggregation, method)(), chunk

    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Add the gradient to `.grad`."""
        from torchjd.autojac import jac_to_grad, mtl_backward

        terms = reduce(terms)
        shared = net.shared_parameters()
        mtl_backward(
            [term.mean() for term in terms.task.values()],
            features=outputs[0].shared,
            tasks_params=[net.task_parameters(t) for t in terms.task],
            shared_params=shared,
            parallel_chunk_size=self.chunk,
        )
        jac_to_grad(shared, self.aggregator)
        return {}


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


@dataclass
class Cost:
    """One method beside a plain sum of the same losses, of the same distillation."""

    tasks: int
    distilled: bool
    method: str
    kind: Kind
    ratio: float  # of the time of a step: median over the rounds
    low: float  # quartiles
    high: float
    limit: float | None
    memory: int | None  # bytes at the peak over those of the plain sum
    memory_limit: int | None


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
        # So long that no step is the last of an epoch or of the log: these are measured by themselves.
        config = TrainConfig(epochs=1, batch_size=BATCH, log_steps=10**9, precision="32-true", accelerator="cpu")
        endless = Stream(Rooms().split("train"), indices=range(BATCH * 10**6))  # whose batches come from elsewhere
        self.streams = Streams([endless], config)
        self.fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")

    def seconds(self, steps: int) -> float:
        """A step, as training takes it."""
        started = perf_counter()
        fit(self.fabric, self.run, self.tasks, [self.batch] * steps, self.streams, 0)
        return (perf_counter() - started) / steps

    def peak(self) -> int:
        """Bytes at the peak of the first two steps."""
        with _quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            self.seconds(2)
        results: Any = seen.profiler and seen.profiler.kineto_results
        changes = sorted((e.start_ns(), e.nbytes()) for e in results.events() if e.name() == "[memory]")
        return int(max(accumulate(change for _, change in changes)))


@contextmanager
def _quiet() -> Iterator[None]:
    """torch's profiler tells of every start and of a missing GPU on the process's own standard error."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def bench(
    counts: Sequence[int] = (3, 5), rounds: int = 7, steps: int = STEPS, note: Callable[[str], None] = print
) -> list[Cost]:
    """Measure every method, in turns with the plain sum, so that what else the machine does falls on all alike.

    Args:
        counts: numbers of tasks.
        rounds: ratios whose median is taken.
        steps: of a method in one round.
        note: is told what is measured.
    """
    return [cost for n in counts for distilled in (False, True) for cost in _measure(n, distilled, rounds, steps, note)]


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
        for name in chosen:  # the plain sum before and after each, since a machine's speed drifts
            own, after = cases[name].seconds(steps), cases[""].seconds(steps)
            ratios[name].append(2 * own / (before + after))
            before = after
    found = []
    for name, (kind, _) in chosen.items():
        low, _, high = quantiles(ratios[name], n=4, method="inclusive") if rounds > 1 else ratios[name] * 3
        room = round(0.1 * peaks[""]) + (count + 1) * cases[""].shared * 4
        over = peaks[name] - peaks[""] if name in peaks else None
        limit = LIMITS[kind].get(count)
        room += count * cases[""].shared * 4 if name in ("MoCo", "DBMTL") else 0  # which keep a gradient a task
        at_most = room if kind == "parameters" else None
        found.append(Cost(count, distilled, name, kind, median(ratios[name]), low, high, limit, over, at_most))
    return found


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


def write(path: Path, costs: Sequence[Cost], rounds: int, steps: int = STEPS) -> None:
    """The costs as JSON, with what they were measured on."""
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


def table(costs: Sequence[Cost]) -> Table:
    """The costs, a line a method, what is over its limit in red; torchjd's `mtl_backward` is with PCGrad."""
    shown = Table(title="Time of a step over that of a plain sum", title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name in ("tasks", "method"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("kind")  # which gives way on a narrow terminal
    for name in ("ratio", "quartiles", "at most", "MiB", "at most"):
        shown.add_column(name, justify="right", no_wrap=True)
    for cost in costs:
        shown.add_row(
            f"{cost.tasks}{' taught' if cost.distilled else ''}", cost.method, cost.kind,
            _held(cost.ratio, cost.limit, "{:.2f}"), f"{cost.low:.2f}-{cost.high:.2f}", _text(cost.limit, "{:.2f}"),
            _held(_mib(cost.memory), _mib(cost.memory_limit), "{:+.1f}"), _text(_mib(cost.memory_limit), "{:+.1f}"),
        )  # fmt: skip
    return shown


def _mib(count: int | None) -> float | None:
    return None if count is None else count / 2**20


def _text(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _held(value: float | None, limit: float | None, form: str) -> str:
    """A value, red where it is over its limit."""
    over = value is not None and limit is not None and value > limit
    return f"[red]{_text(value, form)}[/red]" if over else _text(value, form)
