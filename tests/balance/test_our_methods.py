"""GradNorm, IMTL-H, MoCo, DB-MTL and the scale-invariant baseline against their formulas, written out."""

from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest
import torch
from tests.balance.balancer_tester import WholeStep
from tests.balance.gradient_model import (
    TASKS,
    Losses,
    Net,
    assert_own_gradients_are_plain,
    batch,
    build,
    flat_grad,
    grads,
    grouped,
    jacobian,
    losses,
    plain_sum,
    reloaded,
    shared_grad,
    step,
)
from tests.balance.test_aggregator import Representation
from tests.train.fixture import assert_same
from torch import Tensor

from tutelage.balance import DBMTL, IMTLH, GradNorm, MoCo, ScaleInvariant
from tutelage.balance.moco import simplex
from tutelage.balance.objective import Balance
from tutelage.balance.task_gradients import TaskGradients
from tutelage.types import Balancer, Batch, Distiller, Term, TermMap, Terms

METHODS: dict[str, Callable[..., Balancer]] = {
    "GradNorm at parameters": lambda **kwargs: GradNorm(where="parameters", **kwargs),
    "GradNorm": GradNorm,
    "IMTLH at parameters": lambda **kwargs: IMTLH(where="parameters", **kwargs),
    "IMTLH": IMTLH,
    "MoCo": lambda **kwargs: MoCo(gamma=2.0, **kwargs),
    "DBMTL": DBMTL,
    "ScaleInvariant": ScaleInvariant,
}
AT_PARAMETERS = sorted(set(METHODS) - {"GradNorm", "IMTLH"})
BALANCES: tuple[Balance, ...] = get_args(Balance)
DATA = (batch(0, 1), batch(2, 3, 4), batch(4, 5), batch(1, 6))


def head_grads(net: Net, group: dict[str, Tensor], factors: Tensor) -> dict[str, Tensor]:
    """Of every head: factor_t times the gradient of its own objective."""
    return {
        t: factor * flat_grad(value, net.task_parameters(t))
        for (t, value), factor in zip(group.items(), factors, strict=True)
    }


def assert_heads(net: Net, expected: dict[str, Tensor]) -> None:
    for t, value in expected.items():
        found = torch.cat([p.grad.flatten() for p in net.task_parameters(t)])
        torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-6, msg=t)


def assert_adaptors(distiller: Distiller, found: Losses) -> None:
    """Their own gradient, which no weight changes."""
    adaptors = [p for p in distiller.parameters() if p.requires_grad]
    for p, grad in zip(adaptors, torch.autograd.grad(plain_sum(found), adaptors, retain_graph=True), strict=True):
        torch.testing.assert_close(p.grad, grad, rtol=1e-4, atol=1e-6)


def assert_shared(net: Net, matrix: Tensor, weights: Tensor, rest: Sequence[Tensor]) -> None:
    """sum_t w_t row_t, and distillation as it is."""
    expected = [weights @ matrix, *(flat_grad(x, net.shared_parameters()) for x in rest)]
    torch.testing.assert_close(shared_grad(net), torch.stack(expected).sum(0), rtol=1e-4, atol=1e-5)


def stacked(group: dict[str, Tensor]) -> Tensor:
    return torch.stack([x.detach() for x in group.values()])


def measured(net: Net, distiller: Distiller | None, data: Batch, where: str, balance: Balance) -> Tensor:
    """The Jacobian that a method looks at."""
    if where == "representation":
        return Representation(net, distiller, data, balance).matrices[0]
    return jacobian(grouped(losses(net, distiller, data), balance)[0][0], net.shared_parameters())


@pytest.mark.parametrize("where", ["parameters", "representation"])
@pytest.mark.parametrize("balance", ["task", "task+distill"])
class TestGradNormAndIMTLH:
    def test_gradnorm(self, where: Any, balance: Balance) -> None:
        made = GradNorm(alpha=1.2, where=where, balance=balance)
        net, distiller = build(made, "features")
        optimiser = torch.optim.SGD(made.parameters(), lr=0.1)
        w, initial = torch.ones(3), None
        for data in DATA:
            found = step(made, net, distiller, data)
            groups, rest = grouped(losses(net, distiller, data), balance)
            (group,) = groups
            o = stacked(group)
            initial = o if initial is None else initial
            norms = measured(net, distiller, data, where, balance).norm(dim=1)
            w.requires_grad_()
            sizes = w * norms
            rate = (o / initial) / (o / initial).mean()
            (sizes - (sizes.mean() * rate**1.2).detach()).abs().sum().backward()
            torch.testing.assert_close(made.weights["task"].grad, w.grad, rtol=1e-4, atol=1e-5)
            w = (w.detach() - 0.1 * w.grad).clamp(min=0)
            torch.testing.assert_close(torch.stack([*found.values()]), made.weights["task"].detach())
            before = made.weights["task"].detach().clone()
            assert_shared(net, jacobian(group, net.shared_parameters()), before, rest)
            assert_heads(net, head_grads(net, group, before))
            assert_adaptors(distiller, losses(net, distiller, data))
            optimiser.step()
            made.after_step(Terms)
            w *= 3 / w.sum()
            torch.testing.assert_close(made.weights["task"].detach(), w, rtol=1e-4, atol=1e-5)
        assert w.std() > 0.01

    def test_imtlh(self, where: Any, balance: Balance) -> None:
        made = IMTLH(where=where, balance=balance)
        net, distiller = build(made, "features")
        optimiser = torch.optim.SGD(made.parameters(), lr=0.3)
        s = torch.zeros(3)
        for data in DATA:
            found = step(made, net, distiller, data)
            groups, rest = grouped(losses(net, distiller, data), balance)
            (group,) = groups
            s = s.detach().requires_grad_()
            (s.exp() * stacked(group) - s).sum().backward()
            torch.testing.assert_close(made.scales["task"].grad, s.grad, rtol=1e-4, atol=1e-5)
            scale = s.detach().exp()
            scaled = scale[:, None] * measured(net, distiller, data, where, balance)
            weights = torch.stack([*found.values()])
            torch.testing.assert_close((weights / scale).sum(), torch.tensor(1.0), rtol=1e-4, atol=1e-4)
            projections = scaled / scaled.norm(dim=1, keepdim=True) @ (weights / scale @ scaled)
            torch.testing.assert_close(projections, projections.mean().expand(3), rtol=1e-3, atol=1e-5)
            assert_shared(net, jacobian(group, net.shared_parameters()), weights, rest)
            assert_heads(net, head_grads(net, group, scale))
            assert_adaptors(distiller, losses(net, distiller, data))
            optimiser.step()
            made.after_step(Terms)
            s = s.detach() - 0.3 * s.grad
        assert s.std() > 0.05


def test_gradnorms_weights_are_not_negative() -> None:
    made = GradNorm(where="parameters")
    build(made)
    with torch.no_grad():
        made.weights["task"].copy_(torch.tensor([-1.0, 1.0, 3.0]))
    made.after_step(Terms)
    torch.testing.assert_close(made.weights["task"].detach(), torch.tensor([0.0, 0.75, 2.25]))


@pytest.mark.parametrize("balance", ["task", "task+distill"])
@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_moco(balance: Balance, rho: float) -> None:
    made = MoCo(beta=0.8, gamma=2.0, rho=rho, decay=0.4, balance=balance)
    net, distiller = build(made, "features")
    y, w = torch.zeros(3, 297), torch.full((3,), 1 / 3)
    for k, data in enumerate(DATA, 1):
        found = step(made, net, distiller, data)
        groups, rest = grouped(losses(net, distiller, data), balance)
        matrix = jacobian(groups[0], net.shared_parameters())
        y = matrix if k == 1 else y - 0.8 / k**0.4 * (y - matrix)
        w = projected(w - 2.0 / k**0.4 * (y @ y.T + rho * torch.eye(3)) @ w)
        torch.testing.assert_close(torch.stack([*found.values()]), w, rtol=1e-3, atol=1e-5)
        assert_shared(net, y, w, rest)
        assert_own_gradients_are_plain(net, distiller, data)
    assert w.std() > 0.02


def test_mocos_weights_stay_on_the_simplex_without_a_task() -> None:
    made = MoCo(gamma=2.0)
    net, _ = build(made)
    before = step(made, net, None, DATA[0])
    found = step(made, net, None, batch(2, 3, without=["depth"]))
    torch.testing.assert_close(torch.stack([*found.values()]).sum(), torch.tensor(1.0))  # the two divide all of it
    torch.testing.assert_close(made.memory["task"]["w"].sum(), torch.tensor(1.0))
    torch.testing.assert_close(made.memory["task"]["w"][1], before["depth"])  # which the third keeps


def test_moco_trains_what_is_shared_also_where_the_tasks_of_a_step_have_no_weight() -> None:
    made = MoCo()
    net, _ = build(made)
    step(made, net, None, DATA[0])
    made.memory["task"]["w"] = torch.tensor([0.0, 1.0, 0.0])
    found = step(made, net, None, batch(2, 3, without=["depth"]))
    assert float(torch.stack([*found.values()]).sum()) == pytest.approx(1)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.shared_parameters())


def projected(v: Tensor) -> Tensor:
    """The nearest point of the simplex, by bisection: max(v - shift, 0), whose sum is 1."""
    v = v.double()
    low, high = v.max() - 1, v.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if (v - middle).clamp(min=0).sum() > 1 else (low, middle)
    return (v - high).clamp(min=0).float()


def test_the_projection_on_the_simplex() -> None:
    generator = torch.Generator().manual_seed(0)
    for scale in (0.1, 1.0, 30.0):
        for _ in range(3):
            v = scale * torch.randn(4, generator=generator)
            found = simplex(v)
            torch.testing.assert_close(found, projected(v), rtol=1e-4, atol=1e-5)
            # the nearest point is the one from which no corner lies towards v
            assert ((torch.eye(4) - found) @ (v - found) <= 1e-4 * (1 + scale**2)).all()
    assert simplex(torch.tensor([-1e8, -2e8])).tolist() == [1, 0]


@pytest.mark.parametrize("balance", ["task", "task+distill"])
def test_db_mtl(balance: Balance) -> None:
    made = DBMTL(beta=0.8, decay=0.4, balance=balance)
    net, distiller = build(made, "features")
    g = torch.zeros(3, 297)
    for k, data in enumerate(DATA, 1):
        found = step(made, net, distiller, data)
        groups, rest = grouped(losses(net, distiller, data), balance)
        logarithms = {t: value.log() for t, value in groups[0].items()}
        matrix = jacobian(logarithms, net.shared_parameters())
        g = matrix if k == 1 else matrix + 0.8 / k**0.4 * (g - matrix)
        norms = g.norm(dim=1)
        assert_shared(net, g, norms.max() / norms, rest)
        assert_heads(net, head_grads(net, logarithms, torch.ones(3)))
        assert_adaptors(distiller, losses(net, distiller, data))
        assert set(found) == set(TASKS)


@pytest.mark.parametrize("balance", BALANCES)
def test_scale_invariant(balance: Balance) -> None:
    made = ScaleInvariant(balance=balance)
    net, distiller = build(made, "features")
    for data in DATA[:2]:
        found = step(made, net, distiller, data)
        groups, rest = grouped(losses(net, distiller, data), balance)
        total = torch.stack([*(x.log() for group in groups for x in group.values()), *rest]).sum()
        everything = [*net.parameters(), *distiller.parameters()]
        for p, grad in zip(everything, torch.autograd.grad(total, everything, allow_unused=True), strict=True):
            if grad is not None:
                torch.testing.assert_close(p.grad, grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(torch.stack([found[t] for t in TASKS]), 1 / stacked(groups[0]))


@pytest.mark.parametrize("where", ["parameters", "representation"])
def test_heads_are_weighed_by_their_own_task_alone(where: Any) -> None:
    """Predictions as targets: `task` adds them to the heads as they are, `separately` weighs them by themselves."""
    data = DATA[0]
    for balance in BALANCES:
        made = GradNorm(where=where, balance=balance)
        net, distiller = build(made, "predictions")
        w = {"task": torch.tensor([0.5, 2.0, 0.5]), "distill": torch.tensor([1.0, 1.5, 0.5])}
        for group, value in w.items():
            if group in made.weights:
                made.weights[group].data.copy_(value)
        step(made, net, distiller, data)
        groups, rest = grouped(losses(net, distiller, data), balance)
        weighed = [
            x * factor
            for group, value in zip(groups, w.values(), strict=False)  # only `separately` has the second
            for x, factor in zip(group.values(), value, strict=True)
        ]
        total = torch.stack([*weighed, *rest]).sum()
        for name, p in net.named_parameters():
            if not name.startswith("skips"):
                (grad,) = torch.autograd.grad(total, [p], retain_graph=True)
                torch.testing.assert_close(p.grad, grad, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_equal_gradients_give_a_multiple_of_them(self, method: str) -> None:
        """GradNorm: w starts at 1: T. IMTL-H, MoCo: a mean. Logarithms of o: T / o."""
        made = METHODS[method]()
        net, _ = build(made)
        output = net(batch(0).images)
        loss = output.shared[0].square().sum()
        gradient = flat_grad(loss, net.shared_parameters())
        made.begin_step(0.0)
        terms = Terms(TermMap({t: Term(loss, torch.tensor(1)) for t in TASKS}))
        weights = made.backward(terms, [output], net, WholeStep()) | made.finish()
        factor = {"GradNorm": 3, "IMTLH": 1, "MoCo": 1}.get(method.split()[0], 3 / loss.detach())
        torch.testing.assert_close(shared_grad(net), factor * gradient, rtol=1e-3, atol=1e-4)
        for w in weights.values():
            torch.testing.assert_close(w, torch.as_tensor(factor / 3, dtype=torch.float32), rtol=1e-3, atol=1e-4)

    def test_relabelling_the_tasks_relabels_the_weights(self, method: str) -> None:
        found = []
        for order in (tuple(TASKS), ("normals", "segmentation", "depth")):
            made = METHODS[method]()
            net, _ = build(made, tasks=order)
            for data in DATA:
                weights = step(made, net, None, data)
                train(made, net)
            found.append(({t: float(w) for t, w in weights.items()}, grads(net)))
        (one, gradients), (other, again) = found
        assert other == pytest.approx(one, rel=1e-3)
        for name, value in gradients.items():
            if value is not None:
                torch.testing.assert_close(again[name], value, rtol=1e-3, atol=1e-4, msg=name)

    def test_a_missing_task_balances_the_rest_and_is_remembered(self, method: str) -> None:
        made = METHODS[method]()
        net, _ = build(made)
        step(made, net, None, DATA[0])
        memory = reloaded(getattr(made, "memory", {}))
        weights = step(made, net, None, batch(2, 3, without=["depth"]))
        assert set(weights) == {"segmentation", "normals"}
        assert shared_grad(net).isfinite().all()
        assert all(p.grad is None for p in net.task_parameters("depth"))
        assert all(p.grad[1] == 0 for p in made.parameters())
        for group, kept in memory.items():
            for name, value in kept.items():
                assert_same(made.memory[group][name][1], value[1])
        assert set(step(made, net, None, DATA[0])) == set(TASKS)
        assert shared_grad(net).isfinite().all()

    @pytest.mark.parametrize("task", TASKS)
    def test_a_first_step_without_a_task(self, method: str, task: str) -> None:
        made = METHODS[method]()
        net, _ = build(made)
        step(made, net, None, batch(0, 1, without=[task]))
        for data in DATA[1:]:
            assert set(step(made, net, None, data)) == set(TASKS)
            assert all(p.grad.isfinite().all() for p in (*made.parameters(), *net.shared_parameters()))

    def test_no_label_at_all(self, method: str) -> None:
        made = METHODS[method]()
        net, distiller = build(made, "features")
        assert step(made, net, distiller, batch(0, without=TASKS)) == {}
        _, distil = losses(net, distiller, batch(0))
        expected = flat_grad(torch.stack([*distil.values()]).sum(), net.shared_parameters())
        torch.testing.assert_close(shared_grad(net), expected, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("balance", ["task+distill", "separately"])
    def test_a_resumed_run_is_an_undisturbed_one(self, method: str, balance: Balance) -> None:
        without = [[], [], ["depth"], [], ["normals"]]
        data = [batch(i, i + 1, without=absent) for i, absent in enumerate(without)]

        def run(steps: range, made: Balancer, net: Net, distiller: Distiller | None) -> list[Any]:
            found = []
            for i in steps:
                weights = step(made, net, distiller, data[i], seed=i)
                found.append(({t: w.clone() for t, w in weights.items()}, grads(net), grads(made)))
                train(made, net)
            return found

        undisturbed = METHODS[method](balance=balance)
        whole = run(range(5), undisturbed, *build(undisturbed, "features"))
        for kill in (1, 3):
            before = METHODS[method](balance=balance)
            net, distiller = build(before, "features")
            first = run(range(kill), before, net, distiller)
            state = reloaded({"balancer": before.state_dict(), "net": net.state_dict()})
            after = METHODS[method](balance=balance)
            net, distiller = build(after, "features")
            net.load_state_dict(state["net"])
            after.load_state_dict(state["balancer"])
            assert_same(first + run(range(kill, 5), after, net, distiller), whole)
            assert_same(reloaded(after.state_dict()), reloaded(undisturbed.state_dict()))


@pytest.mark.parametrize("method", sorted(set(AT_PARAMETERS) - {"ScaleInvariant"}))
def test_accumulated_parts_give_the_gradient_of_the_whole_step(method: str) -> None:
    whole, parts = batch(0, 1, 2, 3), [batch(0), batch(1, 2), batch(3)]
    found = []
    for data in (whole, parts):
        made = METHODS[method](balance="task+distill")
        net, distiller = build(made, "features")
        step(made, net, distiller, batch(4, 5))  # a memory
        weights = step(made, net, distiller, data)
        found.append((grads(net), grads(distiller), grads(made), weights))
    for one, other in zip(*found, strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            torch.testing.assert_close(one[name], value, rtol=1e-3, atol=1e-5, msg=name)


def train(made: Balancer, net: Net) -> None:
    """A step of the optimisers."""
    with torch.no_grad():
        for p in (*net.parameters(), *made.parameters()):
            if p.grad is not None:
                p -= 0.05 * p.grad
    made.after_step(Terms)


def test_gradnorm_waits_for_an_objective_that_begins_at_zero() -> None:
    """Its first loss is what rates are measured against; until it is known the others are balanced alone."""
    made = GradNorm(where="parameters", balance="task")
    build(made)

    def combine(losses: list[float], names: list[str]) -> Tensor:
        matrix = torch.diag(torch.tensor([1.0, 2.0, 4.0]))[: len(names)]
        index = [list(TASKS).index(name) for name in names]
        gradients = TaskGradients(names, index, torch.tensor(losses), [matrix], "task", made.memory["task"])
        made.combine(gradients)
        return made.weights["task"].grad

    names = list(TASKS)
    assert combine([1.0, 2.0, 0.0], names).tolist() == [-1.0, 2.0, 0.0]
    assert combine([0.0, 0.0, 0.0], names).isfinite().all()
    third = combine([0.5, 1.0, 3.0], names)
    assert third.isfinite().all()
    assert third[2] != 0
    assert made.memory["task"]["initial"].tolist() == [1.0, 2.0, 3.0]
