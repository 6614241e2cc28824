"""Losses and gradients that are exactly zero, one task and twelve: finite gradients of every balancer, or one line."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import pytest
import torch
from tests.balance.test_aggregator import ARGUMENTS, EXACT
from tests.balance.test_scalarizer import ARGUMENTS as SCALARIZERS
from torch import Tensor, nn

from tutelage.balance import (
    DBMTL,
    IMTLH,
    Aggregator,
    GradDrop,
    GradientBalancer,
    GradNorm,
    MoCo,
    Scalarizer,
    ScaleInvariant,
    Uncertainty,
    Uniform,
)
from tutelage.errors import UserError
from tutelage.tasks import Regression
from tutelage.train import PartialStep, make_batch, training_step
from tutelage.types import Balancer, MaskedTarget, MultiTaskNet, Output, Sample, Task, Term, ViewKey

pytestmark = pytest.mark.filterwarnings("ignore:You are solving a parameterized problem that is not DPP")

Zero = Literal["nothing", "gradient", "loss", "every loss"]


class Learnt(Regression):
    """A task whose labels are met exactly, or that asks nothing of the network."""

    def __init__(self, zero: Zero) -> None:
        super().__init__()
        self.zero = zero

    def loss(self, raw: Tensor, target: MaskedTarget) -> Term:
        """Its loss, times zero; or a constant."""
        loss = super().loss(raw, target)
        return Term(loss.sum * 0 + (1.0 if self.zero == "gradient" else 0.0), loss.count)


class Net(MultiTaskNet):
    def __init__(self, tasks: Collection[str]) -> None:
        super().__init__()
        self.trunk = nn.Linear(3, 4)
        self.heads = nn.ModuleDict({t: nn.Linear(4, 1) for t in tasks})

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        last = self.trunk(images.mean((2, 3))).tanh()
        return Output({t: self.heads[t](last) for t in tasks or self.heads}, {"last": last}, (last,))

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        return list(self.heads[task].parameters())

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.trunk.parameters())


def weights(method: str, arguments: Mapping[str, Any], tasks: Collection[str]) -> dict[str, Any]:
    """The arguments of a method for these tasks."""
    fitting = dict(arguments)
    if isinstance(fitting.get("weights"), dict):
        fitting["weights"] = dict.fromkeys(tasks, 0.5)
    elif "weights" in fitting:
        fitting["weights"] = [0.5] * len(tasks)
    return fitting


Make = Callable[[Collection[str]], Balancer]
BALANCERS: dict[str, Make] = {
    "uniform": lambda _: Uniform(),
    "uncertainty": lambda _: Uncertainty(),
    "scale-invariant": lambda _: ScaleInvariant(),
    "db-mtl": lambda _: DBMTL(),
    "imtl-h": lambda _: IMTLH(),
    "graddrop": lambda _: GradDrop(),
    "gradnorm": lambda _: GradNorm(),
    "moco": lambda _: MoCo(),
}
BALANCERS |= {f"losses {m}": lambda t, m=m, a=a: Scalarizer(m, weights(m, a, t)) for m, a in SCALARIZERS.items()}
BALANCERS |= {f"gradients {m}": lambda t, m=m, a=a: Aggregator(m, weights(m, a, t)) for m, a in ARGUMENTS.items()}
BALANCERS |= {
    f"representation {m}": lambda t, m=m, a=a: Aggregator(m, weights(m, a, t), "representation")
    for m, a in ARGUMENTS.items()
    if m not in EXACT
}


def train(make: Make, count: int, zero: Zero, steps: int = 3, images: int = 4, unlabelled: int = 0) -> Net:
    """Some steps with a plain optimiser; in the first of them, an epoch, the first task may have no label."""
    torch.manual_seed(0)
    names = [f"task{i}" for i in range(count)]
    tasks: dict[str, Task] = {t: Regression() for t in names}
    if zero == "every loss":
        tasks = {t: Learnt("loss") for t in names}
    elif zero != "nothing":
        tasks[names[0]] = Learnt(zero)
    balancer, net = make(names), Net(names)
    balancer.setup(tasks, net, None)
    learning = [*net.parameters(), *balancer.parameters()]
    optimiser = torch.optim.SGD(learning, 0.01)
    for n in range(steps):
        optimiser.zero_grad()
        balancer.begin_step(n / steps)
        draws = []
        for draw in range(balancer.draws):
            labels = {t: torch.full((1,), i + n / 7) for i, t in enumerate(names) if i or n >= unlabelled}
            views = [ViewKey(draw * 4 + i) for i in range(images)]
            samples = [Sample(image=torch.rand(3, 4, 4), labels=labels, view=view) for view in views]
            draws.append([[make_batch(samples, tasks)]])
        for draw, parts in enumerate(draws):
            for part, reduce in zip(parts, PartialStep.split(parts, None, draw), strict=True):
                training_step(part, net, tasks, None, balancer, reduce)
        balancer.finish()
        for p in learning:
            assert p.grad is None or bool(p.grad.isfinite().all()), f"step {n}"
        optimiser.step()
        if n + 1 == unlabelled:
            balancer.end_epoch()
    return net


@pytest.mark.parametrize("zero", ["gradient", "loss", "every loss"])
@pytest.mark.parametrize("name", BALANCERS)
def test_what_is_exactly_zero_leaves_gradients_finite(name: str, zero: Zero) -> None:
    if name == "gradients NashMTL":  # its equations have no solution
        with pytest.raises(UserError, match=r"expected gradients of task0, .* that it can combine, found .*; take an"):
            train(BALANCERS[name], 4, zero)
    elif name == "losses GeometricMean" and zero != "gradient":  # infinite slope: the run ends with its line
        with pytest.raises(AssertionError, match="step 0"):
            train(BALANCERS[name], 4, zero)
    else:
        train(BALANCERS[name], 4, zero)


@pytest.mark.parametrize("name", BALANCERS)
@pytest.mark.parametrize("count", [1, 12])
def test_one_task_and_twelve(name: str, count: int) -> None:
    if count == 1 and isinstance(BALANCERS[name](["task0"]), GradientBalancer):
        with pytest.raises(UserError, match=r"balancer: expected two tasks or more for \w+, .* found task0; take "):
            train(BALANCERS[name], count, "nothing", steps=2)
    else:
        train(BALANCERS[name], count, "nothing", steps=2)


@pytest.mark.parametrize("name", BALANCERS)
def test_an_epoch_without_a_label_of_a_task_and_then_one(name: str) -> None:
    train(BALANCERS[name], 4, "nothing", steps=4, unlabelled=2)


@pytest.mark.parametrize("name", BALANCERS)
def test_one_image(name: str) -> None:
    train(BALANCERS[name], 4, "nothing", images=1)
