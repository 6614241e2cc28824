"""What several processes are asked to compute as one does. Each check returns tensors by name."""

import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from tests.balance.gradient_model import TASKS, Distil, Net, build, sample
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tutelage.balance import (
    DBMTL,
    DTOKD,
    IMTLH,
    MOML,
    Aggregator,
    AutoLambda,
    FeedbackWeighting,
    GradDrop,
    GradNorm,
    IndependentDraws,
    MoCo,
    OnlineWeighting,
    Scalarizer,
    ScaleInvariant,
    Uncertainty,
    Uniform,
)
from tutelage.data import ClassesLabel, DepthLabel, NormalsLabel, Samples
from tutelage.tasks import Depth, MultiLabel, Segmentation
from tutelage.train import (
    JsonLines,
    Observer,
    Optim,
    Optimisers,
    Stream,
    Streams,
    TrainConfig,
    Training,
    evaluate,
    fit,
    make_batch,
    training_loader,
)
from tutelage.types import Balancer, MaskedTarget, MultiTaskNet, Output, Sample, Task, Term, World

Check = Callable[[World], dict[str, Tensor]]
MODALITIES = {"segmentation": ClassesLabel(), "depth": DepthLabel(), "normals": NormalsLabel()}


class Images(Samples):
    """Every third image lacks its depth, and every fourth its normals."""

    def __init__(self, size: int = 24, double: bool = False) -> None:
        self.size, self.double = size, double

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Sample:
        absent = [*(["depth"] if index % 3 == 0 else []), *(["normals"] if index % 4 == 1 else [])]
        found = sample(index, absent)
        return Sample(image=found["image"].double() if self.double else found["image"], labels=found["labels"])


class Depth64(Depth):
    def loss(self, raw: Tensor, target: MaskedTarget) -> Term:
        error = torch.where(target.valid.unsqueeze(1), raw - target.value, 0).square()
        return Term(error.sum(), target.count())


class Segmentation64(Segmentation):
    def loss(self, raw: Tensor, target: MaskedTarget) -> Term:
        return Term(cross_entropy(raw, target.value, ignore_index=-1, reduction="sum"), target.count())


TASKS64: dict[str, Task] = {"segmentation": Segmentation64(classes=3), "depth": Depth64()}


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.05)


def training(
    balancer: Balancer, streams: Streams, distil: Distil | None, tasks: Collection[str], double: bool, ema: float | None
) -> Training:
    net, distiller = build(balancer, distil, tuple(tasks))
    if double:
        net.double()
        if distiller is not None:
            distiller.double()
    parts = {
        "student": (list(net.parameters()), Optim(sgd)),
        "adaptors": ([] if distiller is None else [p for p in distiller.parameters() if p.requires_grad], Optim(sgd)),
        "balancer": (list(balancer.parameters()), Optim(sgd)),
    }
    return Training(net, distiller, balancer, Optimisers(parts, 1, streams.length.steps), ema)


def train(
    world: World,
    balancer: Balancer,
    distil: Distil | None = None,
    steps: int = 3,
    batch: int = 5,
    accumulate: int = 1,
    tasks: Mapping[str, Task] = TASKS,
    double: bool = False,
    checkpoint: Path | None = None,
    log: Path | None = None,
    stop: int | None = None,
    ema: float | None = None,
    observer: Observer | None = None,
) -> dict[str, Tensor]:
    """Parameters and gradients after some steps, and the state of the balancer.

    Args:
        world: the processes.
        steps: of the run.
        stop: the step at which it ends, to be continued from the checkpoint.
    """
    config = TrainConfig(
        epochs=100, batch_size=batch, accumulate=accumulate, max_steps=stop or steps, precision="32-true",
        channels_last=False, checkpoint_steps=1, log_steps=2, observe_steps=2, clip_norm=10.0,
    )  # fmt: skip
    stream = Stream(Images(double=double), MODALITIES)
    streams = Streams([stream], batch, config.epochs, accumulate, config.max_steps, balancer.draws)
    run = training(balancer, streams, distil, tuple(tasks), double, ema)
    if checkpoint is not None:
        run.resume(checkpoint)
    loggers = [JsonLines(log, run.step)] if log is not None and world.main else []
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true", loggers=loggers)
    loader = training_loader(streams, tasks, config, 5, run.step, world)
    fit(fabric, run, tasks, loader, config, streams.length, 5, checkpoint, observer, world)
    found = {f"average/{name}": x for name, x in ({} if run.average is None else run.average.state_dict()).items()}
    for kind, module in (("student", run.student), ("adaptors", run.distiller), ("balancer", run.balancer)):
        for name, p in () if module is None else module.named_parameters():
            found[f"{kind}/{name}"] = p.detach().clone()
            if p.grad is not None and kind != "balancer":
                found[f"grad/{kind}/{name}"] = p.grad.clone()
    return found | dict(_tensors("state", run.balancer.state_dict()))


def _tensors(name: str, value: Any) -> list[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        return [(name, value.clone())]
    if isinstance(value, int | float):
        return [(name, torch.tensor(float(value)))]
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    return [pair for key, item in items for pair in _tensors(f"{name}/{key}", item)]


WEIGHTS = {"segmentation": 0.5, "depth": 2.0, "normals": 1.0}
AGGREGATORS: dict[str, dict[str, Any]] = {
    "AlignedMTL": {}, "CAGrad": {"c": 0.5}, "ConFIG": {}, "DualProj": {}, "ExcessMTL": {}, "FairGrad": {"alpha": 1.0},
    "GradDrop": {}, "GradVac": {}, "IMTLG": {}, "Krum": {"n_byzantine": 0, "n_selected": 2}, "MGDA": {},
    "NashMTL": {"optim_niter": 3}, "PCD": {}, "PCGrad": {}, "Random": {}, "TrimmedMean": {"trim_number": 1},
    "UPGrad": {}, "CRMOGMWeighting": {"weighting": "MGDAWeighting"},
}  # fmt: skip
EXACT_ONLY = ("ExcessMTL", "FairGrad", "NashMTL")
SCALARIZERS: dict[str, dict[str, Any]] = {
    "DWA": {}, "FAMO": {}, "GeometricMean": {}, "IMTLL": {}, "Random": {}, "STCH": {"weights": WEIGHTS, "mu": 0.1},
    "UW": {}, "Mean": {},
}  # fmt: skip
BALANCERS: dict[str, Callable[[], Balancer]] = {
    "uniform": lambda: Uniform({"depth": 2.0}),
    "uniform, with distillation": lambda: Uniform({"depth": 2.0}, balance="task+distill"),
    "uncertainty": Uncertainty,
    "uncertainty, separately": lambda: Uncertainty(balance="separately"),
    "scale-invariant": ScaleInvariant,
    **{f"scalarizer {name}": lambda n=name, a=a: Scalarizer(n, a) for name, a in SCALARIZERS.items()},
    "scalarizer FAMO, separately": lambda: Scalarizer("FAMO", balance="separately"),
    "scalarizer DWA, with distillation": lambda: Scalarizer("DWA", balance="task+distill"),
    **{f"aggregator {name}": lambda n=name, a=a: Aggregator(n, a) for name, a in AGGREGATORS.items()},
    **{
        f"representation {name}": lambda n=name, a=a: Aggregator(n, a, "representation")
        for name, a in AGGREGATORS.items()
        if name not in EXACT_ONLY
    },
    "aggregator UPGrad, with distillation": lambda: Aggregator("UPGrad", balance="task+distill"),
    "aggregator UPGrad, separately": lambda: Aggregator("UPGrad", balance="separately"),
    "representation UPGrad, with distillation": lambda: Aggregator("UPGrad", None, "representation", "task+distill"),
    "representation ConFIG, separately": lambda: Aggregator("ConFIG", None, "representation", "separately"),
    "gradnorm": GradNorm,
    "gradnorm at the parameters": lambda: GradNorm(where="parameters"),
    "imtl": IMTLH,
    "imtl at the parameters": lambda: IMTLH(where="parameters"),
    "graddrop": lambda: GradDrop(0.1),
    "db-mtl": DBMTL,
    "moco": MoCo,
    "two draws": lambda: IndependentDraws("MoDoWeighting", draws=2),
    "three draws": lambda: IndependentDraws("SDMGradWeighting", draws=3),
    "auto-lambda": AutoLambda,
    "auto-lambda, separately": lambda: AutoLambda(balance="separately"),
    "moml": MOML,
    "dto-kd": DTOKD,
    "dto-kd at the representation": lambda: DTOKD("representation"),
}  # fmt: skip

STEPS: dict[str, Check] = {
    "plain": lambda world: train(world, Uniform(), None, 1),
    "features": lambda world: train(world, Uniform(), "features", 1),
    "predictions": lambda world: train(world, Uniform(), "predictions", 1),
    "two images": lambda world: train(world, Uniform(), "features", 1, batch=2),
    "accumulated": lambda world: train(world, Uniform(), "features", 1, batch=4, accumulate=3),
    "accumulated uncertainty": lambda world: train(world, Uncertainty(), "features", 1, batch=2, accumulate=4),
    "accumulated rows": lambda world: train(world, Aggregator("UPGrad"), "features", 1, batch=2, accumulate=4),
    "average": lambda world: train(world, Uniform(), "features", 4, ema=0.9),
    "average teaches": lambda world: train(world, Uniform(), "average", 4),
    "networks beside": lambda world: train(world, OnlineWeighting(), "online", 6),  # an epoch and a step
    "compared with teachers": lambda world: train(world, FeedbackWeighting(), "compared", 6),
}
LONG: dict[str, Check] = {
    name: lambda world, make=make: train(world, make(), "features", 50, tasks=TASKS64, double=True)
    for name, make in {
        "uniform": Uniform,
        "DWA": lambda: Scalarizer("DWA"),
        "MGDA": lambda: Aggregator("MGDA"),
        "PCGrad at the representation": lambda: Aggregator("PCGrad", None, "representation"),
    }.items()
}


class Norm(MultiTaskNet):
    """Batch norm whose running statistics are those of the images that a process has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), nn.Conv2d(4, 3, 1)

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        last = self.trunk(images)
        return Output({"segmentation": self.head(last)} if tasks is None or tasks else {}, {"last": last}, (last,))

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        return list(self.head.parameters())

    def shared_parameters(self) -> list[nn.Parameter]:
        return []


def train_norm(world: World, kind: type[Norm], balancer: Balancer, steps: int) -> Norm:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = kind()
    tasks = {"segmentation": TASKS["segmentation"]}
    config = TrainConfig(epochs=1, batch_size=6, channels_last=False)
    streams = Streams([Stream(Images(), MODALITIES)], 6, max_steps=steps)
    run = Training(net, None, balancer, Optimisers({"student": (list(net.parameters()), Optim(sgd))}, 1, 4))
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    loader = training_loader(streams, tasks, config, 5, 0, world)
    fit(fabric, run, tasks, loader, config, streams.length, 5, world=world)
    return net


def buffers(world: World) -> dict[str, Tensor]:
    """The running statistics after a step; those of all processes, one behind the other."""
    net = train_norm(world, Norm, Uniform(), 1)
    return {name: torch.stack(world.gather(x)) for name, x in net.named_buffers()}


def numbers(world: World) -> dict[str, Tensor]:
    """What forward passes and balancers draw, [processes, steps, 3]."""
    forward, balancer = list[Tensor](), list[Tensor]()

    class Draws(Norm):
        def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
            forward.append(torch.rand(3))
            return super().forward(images, tasks)

    class Random(Uniform):
        def finish(self) -> dict[str, Tensor]:
            balancer.append(torch.rand(3))
            return super().finish()

    train_norm(world, Draws, Random(), 2)
    drawn = {"forward": torch.stack(forward), "balancer": torch.stack(balancer)}
    return {name: torch.stack(world.gather(x)) for name, x in drawn.items()}


LABELS: dict[str, Task] = {**TASKS, "labels": MultiLabel(3)}


def metrics(world: World) -> dict[str, Tensor]:
    """Of 7 images in batches of 4: of three processes one has no image of the last batch with a label."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = Net()
        extra = nn.Conv2d(5, 3, 1)

    class Four(MultiTaskNet):
        def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
            output = net(images)
            return Output({**output.predictions, "labels": extra(output.taps["last"])}, {})

        def task_parameters(self, task: str) -> list[nn.Parameter]:
            return []

        def shared_parameters(self) -> list[nn.Parameter]:
            return []

    def labelled(index: int) -> Sample:
        generator = torch.Generator().manual_seed(index)
        found = Images()[index]
        if index < 3:  # the first batch alone
            found["labels"]["labels"] = torch.randint(0, 2, (3,), generator=generator)
        return found

    batches = [[labelled(i) for i in group] for group in ([0, 1, 2, 3], [4, 5, 6])]
    own = [make_batch(group[world.part(len(group))], LABELS) for group in batches]
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    found = evaluate(fabric, Four(), LABELS, own, world=world)
    return {
        f"{protocol}/{t}/{name}": torch.tensor(value)
        for protocol, of_tasks in found.items()
        for t, values in of_tasks.items()
        for name, value in values.items()
    }


CHECKS: dict[str, dict[str, Check]] = {
    "steps": STEPS,
    "balancers": {
        name: lambda world, make=make: train(world, make(), "features", 2) for name, make in BALANCERS.items()
    },
    "long": LONG,
    "others": {"buffers": buffers, "numbers": numbers, "metrics": metrics},
}


def compute(
    world: World, observer: object, folder: Path, checks: Mapping[str, Collection[str]]
) -> dict[str, dict[str, dict[str, Tensor]]]:
    """Some checks, by group, in one process of several; and runs that leave a log and a checkpoint in a folder."""
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "You are solving a parameterized problem that is not DPP")
    found = {group: {name: CHECKS[group][name](world) for name in names} for group, names in checks.items()}
    leave(world, folder)
    return found


STOPS = {2: 4, 1: 8, 3: 12}  # a run of 12 steps is begun by two processes, continued by one, and ended by three


def leave(world: World, folder: Path) -> None:
    """A log of a run, and a part of a run that others continue."""
    train(world, Aggregator("UPGrad"), "features", 4, log=folder / f"{world.size}.jsonl")
    found = resumable(world, folder / "checkpoint.pt", STOPS[world.size])
    if world.main:
        torch.save(found, folder / f"after{STOPS[world.size]}.pt")


def resumable(world: World, checkpoint: Path, stop: int) -> dict[str, Tensor]:
    return train(world, GradNorm(), "features", 12, checkpoint=checkpoint, stop=stop, ema=0.9)
