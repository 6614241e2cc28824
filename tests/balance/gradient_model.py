"""A small network whose gradients can be written out, the steps of a balancer, and explicit Jacobians."""

import io
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's name for it

from tutelage.balance import Uniform
from tutelage.distill import (
    AverageDistiller,
    FeatureDistiller,
    LogitDistiller,
    OnlineDistiller,
    SumDistiller,
    TeacherLosses,
)
from tutelage.tasks import Depth, Normals, Segmentation
from tutelage.train import PartialStep, make_batch, objective, training_step
from tutelage.types import Balancer, Batch, Distiller, MultiTaskNet, Output, Sample, Task, ViewKey

TASKS: dict[str, Task] = {"segmentation": Segmentation(classes=3), "depth": Depth(), "normals": Normals()}
SHAPE = (4, 6)
Heads = Literal["last", "aliases", "both", "nothing"]
Distil = Literal["features", "predictions", "average", "online", "compared"]


class Net(MultiTaskNet):
    """Two convolutions, whose weights differ in memory layout; taps `bottleneck` and `last`.

    The heads read `last`; or aliases of both taps (`aliases`), or both taps themselves (`both`), or `last` without
    saying so (`nothing`).
    """

    def __init__(self, tasks: Collection[str] = TASKS, heads: Heads = "last", contiguous: bool = False) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(4, 5, 3, 1, 1)
        if not contiguous:
            self.second.weight.data = self.second.weight.data.contiguous(memory_format=torch.channels_last)
        self.reads = heads
        self.heads = nn.ModuleDict({t: nn.Conv2d(5, TASKS[t].width, 1) for t in tasks})
        self.skips = nn.ModuleDict({t: nn.Conv2d(4, TASKS[t].width, 1) for t in tasks})

    def features(self, images: Tensor) -> dict[str, Tensor]:
        bottleneck = F.silu(self.first(images))
        return {"bottleneck": bottleneck, "last": F.silu(self.second(bottleneck))}

    def read(self, last: Tensor, bottleneck: Tensor | None, tasks: Collection[str]) -> dict[str, Tensor]:
        if bottleneck is None:
            return {t: self.heads[t](last) for t in tasks}
        return {t: self.heads[t](last) + self.skips[t](bottleneck) for t in tasks}

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        taps = self.features(images)
        last, bottleneck = taps["last"], taps["bottleneck"]
        names = list(self.heads) if tasks is None else tasks
        if self.reads == "aliases":
            last, bottleneck = last.view_as(last), bottleneck.view_as(bottleneck)
        if self.reads in ("aliases", "both"):
            return Output(self.read(last, bottleneck, names), dict(taps), (last, bottleneck))
        return Output(self.read(last, None, names), dict(taps), () if self.reads == "nothing" else (last,))

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        skips = [] if self.reads in ("last", "nothing") else list(self.skips[task].parameters())
        return [*self.heads[task].parameters(), *skips]

    def shared_parameters(self) -> list[nn.Parameter]:
        return [*self.first.parameters(), *self.second.parameters()]


def sample(index: int, without: Collection[str] = ()) -> Sample:
    """Image and labels are functions of the index."""
    generator = torch.Generator().manual_seed(index)
    labels = {
        "segmentation": torch.randint(-1, 3, SHAPE, generator=generator),
        "depth": torch.rand(1, *SHAPE, generator=generator).mul(4).add(0.1),
        "normals": F.normalize(torch.randn(3, *SHAPE, generator=generator), dim=0),
    }
    image = torch.rand(3, *SHAPE, generator=generator)
    return Sample(image=image, labels={t: y for t, y in labels.items() if t not in without}, view=ViewKey(index))


def batch(*indices: int, without: Collection[str] = (), tasks: Collection[str] = TASKS) -> Batch:
    absent = {*without, *(set(TASKS) - set(tasks))}
    return make_batch([sample(i, absent) for i in indices], TASKS)


def build(
    balancer: Balancer, distil: Distil | None = None, tasks: Sequence[str] = tuple(TASKS), **kwargs: Any
) -> tuple[Net, Distiller | None]:
    """A student and its distiller, always the same ones, with the balancer set up for them."""
    with torch.random.fork_rng([]):
        torch.manual_seed(26)  # gradients that conflict
        net = Net(kwargs.pop("named", sorted(tasks)), **kwargs)  # its weights do not depend on the order of the tasks
        for p in net.parameters():
            p.data.mul_(2)
        teachers = {t: Net([t]) for t in sorted(tasks)}
        distiller: Distiller | None = None
        weights = dict.fromkeys(tasks, 0.7) | {"depth": 1.5}
        weights = {t: weights[t] for t in tasks}
        if distil == "features":
            match = {"bottleneck": "last", "last": "last"}
            distiller = FeatureDistiller(net, teachers, sample(0)["image"][None], match, weights)
        elif distil == "predictions":
            distiller = LogitDistiller(net, teachers, sample(0)["image"][None], weights)
        elif distil == "average":
            distiller = AverageDistiller(net, {}, sample(0)["image"][None], LogitDistiller, decay=0.5)
        elif distil == "online":
            distiller = OnlineDistiller(net, teachers, sample(0)["image"][None], {"last": "last"}, warmup=0.0)
        elif distil == "compared":
            parts = [lambda *given: FeatureDistiller(*given, {"last": "last"}), TeacherLosses]
            distiller = SumDistiller(net, teachers, sample(0)["image"][None], parts)
        if distiller is not None:
            distiller.setup(TASKS)
    balancer.setup({t: TASKS[t] for t in tasks}, net, distiller)
    return net, distiller


def step(
    balancer: Balancer, net: Net, distiller: Distiller | None, *draws: Batch | Sequence[Batch], seed: int = 3
) -> dict[str, Tensor]:
    """One step: of one batch, of a batch a draw, or of several parts ([part, part]) a draw; returns the weights."""
    for p in (*net.parameters(), *(() if distiller is None else distiller.parameters()), *balancer.parameters()):
        p.grad = None
    torch.manual_seed(seed)
    balancer.begin_step(0.0)
    weights: dict[str, Tensor] = {}
    for draw, parts in enumerate(draws):
        split = [[parts]] if isinstance(parts, Batch) else [[part] for part in parts]
        for part, reduce in zip(split, PartialStep.split(split, distiller, draw), strict=True):
            weights |= training_step(part, net, TASKS, distiller, balancer, reduce)[1]
    return weights | balancer.finish()


def own_parameters(net: Net, distiller: Distiller | None) -> dict[str, nn.Parameter]:
    """Of heads and adaptors."""
    shared = {id(p) for p in net.shared_parameters()}
    own = {name: p for name, p in net.named_parameters() if id(p) not in shared}
    return own | {} if distiller is None else own | dict(distiller.named_parameters())


def shared_grad(net: Net) -> Tensor:
    """`.grad` of the shared parameters, each as it is indexed, in one row."""
    return torch.cat([p.grad.reshape(-1) for p in net.shared_parameters()])


def grads(net: nn.Module) -> dict[str, Tensor | None]:
    return {name: None if p.grad is None else p.grad.clone() for name, p in net.named_parameters()}


def flat_grad(value: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    """d value / d inputs in one row; zero where it does not depend on one."""
    found = torch.autograd.grad(value, list(inputs), retain_graph=True, allow_unused=True)
    return torch.cat(
        [torch.zeros_like(x).flatten() if g is None else g.flatten() for x, g in zip(inputs, found, strict=True)]
    )


def jacobian(values: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor:
    return torch.stack([flat_grad(value, inputs) for value in values.values()])


Losses = tuple[dict[str, Tensor], dict[str, Tensor]]


def losses(net: Net, distiller: Distiller | None, data: Batch) -> Losses:
    """l_t and d_t of a step, in the order of TASKS."""
    terms, _ = objective([data], net, TASKS, distiller, Uniform())
    return (
        {t: terms.task[t].mean() for t in TASKS if t in terms.task},
        {t: terms.distill[t].mean() for t in TASKS if t in terms.distill},
    )


def grouped(found: Losses, balance: str) -> tuple[list[dict[str, Tensor]], list[Tensor]]:
    """The objectives that are combined, group by group, and what is added as it is."""
    task, distil = found
    if balance == "task":
        return [task], list(distil.values())
    if balance == "task+distill":
        return [{t: task[t] + distil[t] if t in distil else task[t] for t in task}], []
    return [task, distil] if distil else [task], []


def plain_sum(found: Losses) -> Tensor:
    return torch.stack([x for part in found for x in part.values()]).sum()


def assert_own_gradients_are_plain(net: Net, distiller: Distiller | None, data: Batch) -> None:
    """Heads and adaptors have the gradient of the plain sum of all terms."""
    own = own_parameters(net, distiller)
    expected = torch.autograd.grad(plain_sum(losses(net, distiller, data)), list(own.values()), allow_unused=True)
    for (name, p), grad in zip(own.items(), expected, strict=True):
        if grad is None:
            assert p.grad is None or not p.grad.any(), name
        else:
            torch.testing.assert_close(p.grad, grad, rtol=1e-5, atol=1e-7, msg=name)


def reloaded(state: Any) -> Any:
    """What a checkpoint gives back."""
    torch.save(state, buffer := io.BytesIO())
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)
