"""A small run: random images, depth and classes, a network without batch norm so that sums over images are exact."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from tutelage.balance import Uniform
from tutelage.data import ClassesLabel, DepthLabel, Samples
from tutelage.distill import FeatureDistiller
from tutelage.tasks import Depth, Segmentation
from tutelage.train import Optim, Optimisers, Stream, Streams, TrainConfig, Training, fit, seeded, training_loader
from tutelage.types import Balancer, Batch, Distiller, MultiTaskNet, Output, Sample, Task

TASKS: dict[str, Task] = {"segmentation": Segmentation(classes=4), "depth": Depth()}
MODALITIES = {"segmentation": ClassesLabel(), "depth": DepthLabel()}


class Net(MultiTaskNet):
    def __init__(self, widths: dict[str, int], dropout: float = 0.0, norm: bool = False) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 6, 3, 2, 1),
            nn.BatchNorm2d(6) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Upsample(scale_factor=2),
        )
        self.heads = nn.ModuleDict({t: nn.Conv2d(6, width, 1) for t, width in widths.items()})

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        last = self.trunk(images)
        names = self.heads if tasks is None else tasks
        return Output({t: self.heads[t](last) for t in names}, {"last": last}, (last,))

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        return list(self.heads[task].parameters())

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.trunk.parameters())


class Images(Samples):
    """Image i is a function of i; every third lacks its depth."""

    def __init__(self, size: int = 12) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Sample:
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(3, 8, 12, generator=generator)
        labels = {"segmentation": torch.randint(-1, 4, (8, 12), generator=generator)}
        if index % 3:
            labels["depth"] = torch.rand(1, 8, 12, generator=generator).mul(4).sub(0.5).clamp(min=0)
        return Sample(image=image, labels=labels)


def features(student: Net, teachers: dict[str, Net], example: Tensor) -> Distiller:
    return FeatureDistiller(student, teachers, example, {"last": "last"})


@dataclass
class Run:
    """Builds a run from scratch, as often as a test needs it."""

    config: TrainConfig
    balancer: type[Balancer] = Uniform
    distill: bool = True
    net: dict[str, float | bool] = field(default_factory=dict)
    dataset: Samples = field(default_factory=Images)
    fabric: Fabric = field(default_factory=lambda: Fabric(accelerator="cpu", devices=1, precision="32-true"))
    distiller: Callable[[Net, dict[str, Net], Tensor], Distiller] = features

    def build(self) -> Training:
        with seeded(1, "net"):
            student = Net({t: task.width for t, task in TASKS.items()}, **self.net)
        distiller = None
        if self.distill:
            with seeded(2, "teachers"):
                teachers = {t: Net({t: task.width}, **self.net) for t, task in TASKS.items()}
                distiller = self.distiller(student, teachers, self.dataset[0]["image"][None])
                distiller.setup(TASKS)
        balancer = self.balancer()
        balancer.setup(TASKS, student, distiller)
        parts = {
            "student": (list(student.parameters()), self.config.student),
            "adaptors": ([p for p in distiller.parameters() if p.requires_grad] if distiller else [], Optim()),
            "balancer": (list(balancer.parameters()), Optim()),
        }
        optimisers = Optimisers(parts, self.config.epochs, self.streams(self.config).length.steps)
        return Training(student, distiller, balancer, optimisers, self.config.ema)

    def fit(self, run: Training, config: TrainConfig | None = None, **kwargs: object) -> Training:
        config = config or self.config
        streams = self.streams(config)
        loader = training_loader(streams, TASKS, config, 7, run.step)
        fit(self.fabric, run, TASKS, loader, config, streams.length, 7, **kwargs)
        return run

    def streams(self, config: TrainConfig) -> Streams:
        return streams_of([Stream(self.dataset, MODALITIES)], config, self.balancer().draws)


def streams_of(streams: Sequence[Stream], config: TrainConfig, draws: int = 1) -> Streams:
    return Streams(streams, config.batch_size, config.epochs, config.accumulate, config.max_steps, draws)


def indices(batch: Batch) -> list[int]:
    """The samples that a batch shows."""
    return [view.index for view in batch.views]


class Killed(BaseException):
    pass


class KillAt:
    """Ends a run as a kill would: between two steps, with whatever was written by then."""

    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, step: int, total: int) -> None:
        if step == self.at:
            raise Killed

    def log(self, step: int, values: object) -> None: ...


def assert_same(a: object, b: object) -> None:
    """Bitwise, through containers; nan is nan."""
    if isinstance(a, Tensor):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            if key != "seconds":
                assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b
