"""What is measured: a few steps of a run on images and labels made of random numbers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from time import perf_counter
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from tutelage.distill import FeatureDistiller
from tutelage.errors import UserError
from tutelage.nets import SegNet
from tutelage.tasks import Depth, Normals, Segmentation
from tutelage.train import Optim, Optimisers, RunLength, TrainConfig, Training, fit, make_batch, seeded
from tutelage.types import Balancer, Batch, Sample, Task

SIZE, BATCH, FILTERS = (96, 128), 8, (16, 32, 64, 128, 128)  # a SegNet with a quarter of the width
_ENDLESS = 10**9  # steps


class Case:
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


def make_tasks(count: int) -> dict[str, Task]:
    """The first `count` of five dense tasks.

    Raises:
        UserError: there are not as many.
    """
    tasks: dict[str, Task] = {
        "segmentation": Segmentation(classes=13),
        "depth": Depth(),
        "normals": Normals(),
        "parts": Segmentation(classes=7),
        "distance": Depth(),
    }
    if not 2 <= count <= len(tasks):
        raise UserError(f"--tasks: expected numbers from 2 to {len(tasks)}, found {count}")
    return dict(list(tasks.items())[:count])


def random_batch(tasks: dict[str, Task]) -> Batch:
    """A batch of random images with random labels of every task."""
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
