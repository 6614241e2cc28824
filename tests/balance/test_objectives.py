"""What every kind of balancer does with two teachers of one task, a teacher of several tasks and one of none."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from tests.balance.gradient_model import TASKS, Net, batch, grads, own_parameters, sample, shared_grad, step
from torch import Tensor, nn

from tutelage.balance import (
    DBMTL,
    IMTLH,
    Aggregator,
    GradDrop,
    GradNorm,
    IndependentDraws,
    MoCo,
    Scalarizer,
    ScaleInvariant,
    Uncertainty,
    Uniform,
)
from tutelage.balance.objective import Objectives
from tutelage.distill import FeatureDistiller, LogitDistiller, SumDistiller, Teacher
from tutelage.errors import UserError
from tutelage.train import objective
from tutelage.types import Balancer, Batch, Distiller, Term, TermMap, Terms

TEACHES = {"depth": ("depth",), "other": ("depth",), "multi": ("segmentation", "normals"), "dino": ()}
MATCH = {"bottleneck": "last", "last": "last"}


def build(balancer: Balancer, predictions: bool = False, teaches: Mapping[str, tuple[str, ...]] = TEACHES):
    """A student, and a distiller with a teacher for each key of `teaches`."""
    with torch.random.fork_rng([]):
        torch.manual_seed(26)
        net = Net()
        teachers = {name: Teacher(name, Net(tasks or ["depth"]), tasks) for name, tasks in teaches.items()}
        parts: list[Any] = [lambda *given: FeatureDistiller(*given, MATCH, {"multi": 2.0})]
        if predictions:
            names = [name for name, tasks in teaches.items() if tasks]
            parts.append(lambda *given: LogitDistiller(*given, only=names))
        distiller = SumDistiller(net, teachers, sample(0)["image"][None], parts)
    distiller.setup(TASKS)
    balancer.setup(TASKS, net, distiller)
    return net, distiller


def means(net: Net, distiller: Distiller, data: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """l_t and d_k."""
    terms, _ = objective([data], net, TASKS, distiller, Uniform())
    return {t: x.mean() for t, x in terms.task.items()}, {k: x.mean() for k, x in terms.distill.items()}


def written_out(balance: str, losses: dict[str, Tensor], distances: dict[str, Tensor]) -> dict[str, Tensor]:
    """The objectives of this file's teachers, by hand: "k" of the first group, "distill/k" of the second."""
    if balance == "separately":
        return losses | {f"distill/{k}": d for k, d in distances.items()}
    values = dict(losses)
    for name, d in distances.items():
        if name == "dino":
            values["dino"] = d
        elif name == "multi":
            values["segmentation"] = values["segmentation"] + d / 2
            values["normals"] = values["normals"] + d / 2
        else:  # `depth`, `other`, `depth`'s and `other`'s predictions are in one term, and `multi/t`
            t = name.removeprefix("multi/").replace("other", "depth")
            values[t] = values[t] + d
    return values


def assert_gradient(net: Net, distiller: Distiller, value: Tensor) -> None:
    """`.grad` of all parameters is the gradient of a value."""
    parameters = dict(net.named_parameters()) | dict(distiller.named_parameters())
    expected = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
    for (name, p), grad in zip(parameters.items(), expected, strict=True):
        actual = torch.zeros_like(p) if p.grad is None else p.grad
        torch.testing.assert_close(
            actual,
            torch.zeros_like(p) if grad is None else grad,
            rtol=1e-4,
            atol=1e-6,
            msg=lambda m, n=name: f"{n}: {m}",
        )


ALL: list[Any] = [
    Uniform,
    Uncertainty,
    ScaleInvariant,
    lambda **kwargs: Scalarizer("GeometricMean", **kwargs),
    lambda **kwargs: Scalarizer("FAMO", **kwargs),
    lambda **kwargs: Aggregator("Sum", **kwargs),
    lambda **kwargs: Aggregator("Sum", where="representation", **kwargs),
    lambda **kwargs: Aggregator("MGDA", **kwargs),
    lambda **kwargs: Aggregator("PCGrad", where="representation", **kwargs),
    lambda **kwargs: IndependentDraws("MoDoWeighting", {"gamma": 0.1, "rho": 0.0}, 2, **kwargs),
    MoCo,
    DBMTL,
    GradDrop,
    GradNorm,
    lambda **kwargs: GradNorm(where="parameters", **kwargs),
    IMTLH,
]


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("predictions", [False, True])
def test_added_as_they_are_they_are_a_plain_sum(make: Any, predictions: bool) -> None:
    """`balance: task`: two teachers of one task give the sum of their gradients, on top of the balanced losses."""
    with_teachers, alone = make(balance="task"), make(balance="task")
    net, distiller = build(with_teachers, predictions)
    draws = [batch(i, i + 1) for i in range(0, 2 * with_teachers.draws, 2)]
    step(with_teachers, net, distiller, *draws)
    together = grads(net)
    alone.setup(TASKS, net)
    step(alone, net, None, *draws)
    losses = grads(net)
    updates = getattr(with_teachers, "updates", (0,))
    distances = [sum(means(net, distiller, draws[i])[1].values()) / len(updates) for i in updates]
    for p in net.parameters():
        p.grad = None
    sum(distances).backward()
    for name, p in net.named_parameters():
        parts = [grad for grad in (losses[name], p.grad) if grad is not None]
        if parts:
            torch.testing.assert_close(together[name], sum(parts), rtol=1e-4, atol=1e-5)
        else:
            assert together[name] is None


@pytest.mark.parametrize("balance", ["task+distill", "separately"])
@pytest.mark.parametrize("predictions", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda **kwargs: Scalarizer("Sum", **kwargs),
        lambda **kwargs: Aggregator("Sum", **kwargs),
        lambda **kwargs: Aggregator("Sum", where="representation", **kwargs),
    ],
)
def test_a_sum_of_all_objectives_is_the_sum_of_all_terms(make: Any, balance: str, predictions: bool) -> None:
    balancer, data = make(balance=balance), batch(0, 1)
    net, distiller = build(balancer, predictions)
    weights = step(balancer, net, distiller, data)
    values = written_out(balance, *means(net, distiller, data))
    assert set(weights) == set(values)
    assert ("dino" if balance == "task+distill" else "distill/dino") in values
    assert_gradient(net, distiller, sum(values.values()))


@pytest.mark.parametrize("balance", ["task+distill", "separately"])
@pytest.mark.parametrize("predictions", [False, True])
def test_on_losses(balance: str, predictions: bool) -> None:
    """w_t = 1 / o_t."""
    balancer, data = ScaleInvariant(balance), batch(0, 1)
    net, distiller = build(balancer, predictions)
    weights = step(balancer, net, distiller, data)
    values = written_out(balance, *means(net, distiller, data))
    torch.testing.assert_close(weights, {name: 1 / value.detach() for name, value in values.items()})
    assert_gradient(net, distiller, sum(value.log() for value in values.values()))


@pytest.mark.parametrize("balance", ["task+distill", "separately"])
def test_uncertainty(balance: str) -> None:
    balancer, data = Uncertainty(balance=balance), batch(0, 1)
    net, distiller = build(balancer)
    for i, s in enumerate(balancer.parameters()):
        s.data += 0.1 * i
    step(balancer, net, distiller, data)
    values = written_out(balance, *means(net, distiller, data))
    s = {name: p.detach().clone().requires_grad_() for name, p in balancer.log_variances.items()}
    assert set(s) == set(values)
    c = dict.fromkeys(values, 2.0) | {"segmentation": 1.0}  # of no task or of several: a distance is a regression
    value = sum(values[name] / (c[name] * s[name].exp()) + s[name] / 2 for name in values)
    for name, grad in zip(s, torch.autograd.grad(value, list(s.values()), retain_graph=True), strict=True):
        torch.testing.assert_close(balancer.log_variances[name].grad, grad)
    assert_gradient(net, distiller, value)


@pytest.mark.parametrize("balance", ["task+distill", "separately"])
def test_uniform(balance: str) -> None:
    w = {"segmentation": 0.5, "depth": 3.0, "dino": 0.2}
    balancer, data = Uniform(w, balance=balance), batch(0, 1)
    net, distiller = build(balancer)
    weights = step(balancer, net, distiller, data)
    losses, d = means(net, distiller, data)
    of = {"depth": 3.0, "other": 3.0, "multi": (0.5 + 1.0) / 2, "dino": 0.2}
    value = sum({"normals": 1.0, **w}[t] * x for t, x in losses.items()) + sum(of[k] * x for k, x in d.items())
    assert_gradient(net, distiller, value)
    assert {name: float(x) for name, x in weights.items()} == pytest.approx({"normals": 1.0, **w})
    with pytest.raises(
        UserError, match=r"Uniform.weights: expected tasks among segmentation, depth, normals; found `d"
    ):
        build(Uniform(w))


@pytest.mark.parametrize("balance", ["task+distill", "separately"])
@pytest.mark.parametrize("where", ["parameters", "representation"])
def test_mgda_of_the_parameters_and_of_the_representation(where: Any, balance: str) -> None:
    """The weights of each group sum to 1, and the shared parameters follow the weighted sum."""
    balancer, data = Aggregator("MGDA", where=where, balance=balance), batch(0, 1)
    net, distiller = build(balancer, predictions=True)
    weights = step(balancer, net, distiller, data)
    values = written_out(balance, *means(net, distiller, data))
    assert set(weights) == set(values)
    groups = [[n for n in weights if n.startswith("distill/")], [n for n in weights if not n.startswith("distill/")]]
    for names in filter(None, groups):
        assert float(sum(weights[name] for name in names)) == pytest.approx(1, abs=1e-4)
    value = sum(weights[name].detach() * x for name, x in values.items())
    expected = torch.autograd.grad(value, net.shared_parameters(), retain_graph=True)
    torch.testing.assert_close(shared_grad(net), torch.cat([g.flatten() for g in expected]), rtol=1e-3, atol=1e-5)
    own = own_parameters(net, distiller)
    plain = torch.autograd.grad(sum(values.values()), list(own.values()), allow_unused=True)
    for p, grad in zip(own.values(), plain, strict=True):
        if grad is not None:
            torch.testing.assert_close(p.grad, grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("balance", ["task+distill", "separately"])
@pytest.mark.parametrize("where", ["parameters", "representation"])
def test_gradnorm_weighs_the_heads_by_the_objectives_that_reach_them(where: Any, balance: str) -> None:
    balancer, data = GradNorm(where=where, balance=balance), batch(0, 1)
    net, distiller = build(balancer, predictions=True)
    for w in balancer.weights.values():
        w.data = torch.linspace(0.5, 1.5, len(w))
    weights = step(balancer, net, distiller, data)
    values = written_out(balance, *means(net, distiller, data))
    assert set(weights) == set(values)
    assert {group: len(w) for group, w in balancer.weights.items()} == (
        {"task": 4} if balance == "task+distill" else {"task": 3, "distill": 6}
    )
    value = sum(weights[name].detach() * x for name, x in values.items())
    student = dict(net.named_parameters())
    for (name, p), grad in zip(
        student.items(), torch.autograd.grad(value, list(student.values()), allow_unused=True), strict=True
    ):
        if grad is not None:
            torch.testing.assert_close(p.grad, grad, rtol=1e-3, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    balancer.after_step(lambda distilled: Terms())
    assert all(float(w.detach().sum()) == pytest.approx(len(w)) for w in balancer.weights.values())


@pytest.mark.parametrize("balance", ["task+distill", "separately"])
@pytest.mark.parametrize("make", ALL)
def test_every_balancer_has_an_objective_of_its_own_for_a_teacher_without_a_task(make: Any, balance: str) -> None:
    """It takes steps and its state survives a checkpoint, also if a task is missing from a step."""
    name = "dino" if balance == "task+distill" else "distill/dino"
    balancer = make(balance=balance)
    net, distiller = build(balancer)
    weights: dict[str, Tensor] = {}
    for first, without in [(0, []), (2, ["depth"]), (4, [])]:
        draws = [batch(first + 2 * i, first + 2 * i + 1, without=without) for i in range(balancer.draws)]
        weights = step(balancer, net, distiller, *draws)
        balancer.after_step(lambda distilled: objective([batch(0)], net, TASKS, distiller, Uniform())[0])
        balancer.end_epoch()
        assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
    if not isinstance(balancer, GradDrop) and not (isinstance(balancer, Uniform) and balance == "separately"):
        assert name in weights
    other = make(balance=balance)
    build(other)
    other.load_state_dict(balancer.state_dict())
    draws = [batch(6 + 2 * i, 7 + 2 * i) for i in range(balancer.draws)]
    step(balancer, net, distiller, *draws)
    before = grads(net)
    step(other, net, distiller, *draws)
    for key, grad in grads(net).items():
        torch.testing.assert_close(grad, before[key], rtol=0, atol=0, equal_nan=True)


def test_values_for_every_task_name_the_objectives_of_both_groups() -> None:
    weights = {"segmentation": 1.0, "depth": 2.0, "normals": 3.0, "other": 4.0, "multi": 5.0, "dino": 6.0}
    balancer, data = Scalarizer("Constant", {"weights": weights}, "separately"), batch(0, 1)
    net, distiller = build(balancer)
    step(balancer, net, distiller, data)
    losses, d = means(net, distiller, data)
    assert_gradient(
        net, distiller, sum(weights[t] * x for t, x in losses.items()) + sum(weights[k] * x for k, x in d.items())
    )
    del weights["dino"]
    with pytest.raises(
        UserError, match=r"Constant.weights: expected a value for each of depth, other, multi, dino, found"
    ):
        build(Scalarizer("Constant", {"weights": weights}, "separately"))
    weights["hue"] = 1.0
    with pytest.raises(
        UserError, match=r"Constant.weights: expected a value for each of segmentation, depth, normals, f"
    ):
        build(Scalarizer("Constant", {"weights": weights}, "separately"))


class Fixed(Distiller):
    """Only says what it teaches."""

    def teaches(self) -> Mapping[str, tuple[str, ...]]:
        return {"dino": (), "depth": ("depth",), "multi": ("segmentation", "depth"), "segmentation": ("segmentation",)}

    def counts(self, batch: Any) -> dict[str, int]:
        raise NotImplementedError

    def forward(self, batch: Any, output: Any) -> TermMap:
        raise NotImplementedError

    def distances(self) -> dict[str, Tensor]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("balance", "names"),
    [
        ("task", {"task": ["segmentation", "depth"]}),
        ("task+distill", {"task": ["segmentation", "depth", "dino"]}),
        ("separately", {"task": ["segmentation", "depth"], "distill": ["segmentation", "depth", "dino", "multi"]}),
    ],
)
def test_names_are_of_tasks_in_their_order_and_then_of_teachers(balance: Any, names: dict[str, list[str]]) -> None:
    assert Objectives(balance, ["segmentation", "depth"], Fixed()).names == names


def test_a_task_whose_teacher_alone_is_in_the_step_is_an_objective() -> None:
    x = nn.Parameter(torch.tensor(2.0))
    one, none = torch.tensor(1), torch.tensor(0)
    terms = Terms(
        TermMap({"segmentation": Term(x * 0, none), "depth": Term(x * 3, one)}),
        TermMap({"multi": Term(x * 8, one), "segmentation": Term(x * 5, one), "dino": Term(x * 7, none)}),
    )
    groups, rest = Objectives("task+distill", ["segmentation", "depth"], Fixed()).split(terms)
    assert not rest
    assert {name: float(value.detach()) for name, value in groups["task"].items()} == {
        "depth": 6 + 8,
        "segmentation": 10 + 8,
    }
