"""What is measured: steps of a run on images and labels made of random numbers."""

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.logger import Logger
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from tutelage.balance import Uniform
from tutelage.bench.harness import seconds
from tutelage.bench.networks import Network
from tutelage.distill import FeatureDistiller
from tutelage.errors import UserError
from tutelage.tasks import Depth, Normals, Segmentation
from tutelage.train import Optim, Optimisers, RunLength, TrainConfig, Training, fit, make_batch, seeded
from tutelage.types import Balancer, Batch, MultiTaskNet, Sample, Task, ViewKey

Precision = Literal["32-true", "bf16-mixed"]
DTYPES: dict[Precision, torch.dtype] = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16}
MATCH = {"bottleneck": "bottleneck", "last": "last"}  # of `kd4mtl`
_ENDLESS = 10**9  # steps
_CPU = torch.device("cpu")


class Case:
    """A run of one method on one network.

    Args:
        network: what is trained.
        tasks: the tasks.
        batch: what every step sees.
        balancer: the method; None: the plain sum.
        distilled: with `kd4mtl`'s distillation from one network per task.
        precision: of the run.
        channels_last: the memory layout.
        device: where it is trained.
    """

    def __init__(
        self,
        network: Network,
        tasks: dict[str, Task],
        batch: Batch,
        balancer: Balancer | None = None,
        distilled: bool = False,
        precision: Precision = "32-true",
        channels_last: bool = True,
        device: torch.device = _CPU,
    ) -> None:
        self.tasks, self.batch = tasks, batch.to(device)
        # So long that no step ends an epoch or writes a line of the log: that is no part of the cost.
        self.length = RunLength(steps=_ENDLESS, per_epoch=_ENDLESS, scheduled=_ENDLESS)
        self.config = train_config(device, precision=precision, log_steps=_ENDLESS, channels_last=channels_last)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.fabric = make_fabric(self.config)
        widths = {t: task.width for t, task in tasks.items()}
        with seeded(0, "bench"):
            net = self._placed(network.build(widths))
            teachers = {t: self._placed(network.build({t: widths[t]})) for t in tasks} if distilled else {}
            images = self.batch.images[:1]
            distiller = FeatureDistiller(net, teachers, images, MATCH).to(device) if distilled else None
        if distiller is not None:
            distiller.setup(tasks)
        balancer = balancer or Uniform()
        balancer.setup(tasks, net, distiller)
        balancer.to(device)
        parts = {
            "student": (list(net.parameters()), Optim()),
            "adaptors": ([] if distiller is None else [p for p in distiller.parameters() if p.requires_grad], Optim()),
            "balancer": (list(balancer.parameters()), Optim()),
        }
        self.shared = sum(p.numel() for p in net.shared_parameters())
        self.teachers = list(teachers.values())
        self.parked = 0  # bytes of teachers that lie in files
        self.distiller = distiller
        self.run = Training(net, distiller, balancer, Optimisers(parts, 1, 1))

    def _placed(self, net: MultiTaskNet) -> MultiTaskNet:
        return net.to(self.batch.images.device).to(memory_format=self.layout)

    def steps(self, count: int = 1) -> None:
        """Train for a few steps, in the loop that training uses."""
        fit(self.fabric, self.run, self.tasks, [self.batch] * count, self.config, self.length, seed=0)

    def seconds(self, count: int) -> float:
        """Seconds per step."""
        return seconds(lambda: self.steps(count)) / count

    @torch.no_grad()
    def teach(self, count: int = 1) -> None:
        """A few times one forward pass of every teacher, as a loop written by hand has it."""
        images = self.batch.images.to(memory_format=self.layout)
        for _ in range(count):
            with self.fabric.autocast():
                for teacher in self.teachers:
                    teacher(images, tasks=())

    def peak(self) -> int:
        """Bytes at the peak of the first two steps, beside what was there before."""
        if self.fabric.device.type == "cuda":
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            self.steps(2)
            return torch.cuda.max_memory_allocated() - before
        with _silent(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            self.steps(2)
        results: Any = profiler.profiler and profiler.profiler.kineto_results
        changes = sorted((e.start_ns(), e.nbytes()) for e in results.events() if e.name() == "[memory]")
        return int(max(accumulate(change for _, change in changes)))


def train_config(device: torch.device, **values: Any) -> TrainConfig:
    """How everything is trained on a device."""
    return TrainConfig(accelerator="cuda" if device.type == "cuda" else "cpu", **values)


def make_fabric(config: TrainConfig, loggers: Sequence[Logger] = ()) -> Fabric:
    """One process with the device and the precision of a run."""
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)  # it logs the precision
    return Fabric(
        accelerator=config.accelerator, devices=1, precision=config.resolved_precision(), loggers=list(loggers)
    )


@contextmanager
def _silent() -> Iterator[None]:
    """Silence torch's profiler, which writes to the process's standard error at every start.

    PyTorch 2.10 and 2.11 warn of cleared events besides (pytorch/pytorch#180348). `acc_events` would keep these, and
    have torch parse them for minutes.
    """
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Warning: Profiler clears events", UserWarning)
                yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def machine_precision(device: torch.device) -> Precision:
    """The precision that this machine trains in."""
    return train_config(device).resolved_precision()


def make_tasks(count: int = 3) -> dict[str, Task]:
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


def random_samples(tasks: dict[str, Task], size: tuple[int, int], count: int) -> list[Sample]:
    """Random images with random labels of every task."""
    generator = torch.Generator().manual_seed(0)

    def label(task: Task) -> Tensor:
        if isinstance(task, Segmentation):
            return torch.randint(0, task.width, size, generator=generator)
        return torch.rand(task.width, *size, generator=generator) + 0.1

    return [
        Sample(
            image=torch.rand(3, *size, generator=generator),
            labels={t: label(task) for t, task in tasks.items()},
            view=ViewKey(index),
        )
        for index in range(count)
    ]


def random_batch(tasks: dict[str, Task], network: Network) -> Batch:
    """A batch of random images with random labels of every task."""
    return make_batch(random_samples(tasks, network.size, network.batch), tasks)
