"""Auto-lambda and MOML against a step that is really taken, with lambda a little larger and smaller."""

from typing import Any

import pytest
import torch
from tests.balance.gradient_model import (
    TASKS,
    Net,
    batch,
    build,
    flat_grad,
    grouped,
    jacobian,
    losses,
    reloaded,
    shared_grad,
    step,
)
from tests.reference.balance_reference import shortest_between
from torch import Tensor

from tutelage.balance import MOML, AutoLambda
from tutelage.errors import UserError

FIRST, SECOND = batch(0, 1), batch(2, 3)
SIZE = 5e-4  # of the step


def after_a_step(net: Net, direction: Tensor, distiller: Any, balance: Any) -> Tensor:
    """What the second batch asks for after a step of the shared parameters, [S]."""
    parameters = net.shared_parameters()
    before = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        pieces = torch.split(SIZE * direction, [p.numel() for p in parameters])
        for p, piece in zip(parameters, pieces, strict=True):
            p.sub_(piece.view(p.shape))
    found = torch.stack([*grouped(losses(net, distiller, SECOND), balance)[0][0].values()]).detach()
    with torch.no_grad():
        for p, kept in zip(parameters, before, strict=True):
            p.copy_(kept)
    return found.double()


def slopes(net: Net, matrix: Tensor, *by: Any) -> Tensor:
    """d l_s(theta') / d lambda_t, over the size of the step, [S, T], by differences around lambda = 0."""
    pairs = [(after_a_step(net, row, *by), after_a_step(net, -row, *by)) for row in matrix]
    return torch.stack([(up - down) / (2 * SIZE) for up, down in pairs], 1)


@pytest.mark.parametrize("balance", ["task", "task+distill", "separately"])
@pytest.mark.parametrize("primary", [None, ["depth"]])
def test_auto_lambda_learns_from_the_step(balance: Any, primary: Any) -> None:
    balancer = AutoLambda(0.3, primary, balance)
    net, distiller = build(balancer, "features")
    weights = step(balancer, net, distiller, FIRST, SECOND)
    assert all(float(w) == pytest.approx(0.3) for w in weights.values())
    groups, rest = grouped(losses(net, distiller, FIRST), balance)
    update = sum((flat_grad(x, net.shared_parameters()) for x in rest), torch.zeros(()))
    for t, value in groups[0].items():  # heads: lambda_t times their own
        head = torch.cat([p.grad.flatten() for p in net.heads[t].parameters()])
        torch.testing.assert_close(head, 0.3 * flat_grad(value, [*net.heads[t].parameters()]))
    matrices = {group: jacobian(of, net.shared_parameters()) for group, of in zip(balancer.names, groups, strict=True)}
    chosen = [i for i, t in enumerate(TASKS) if primary is None or t in primary]
    for group, matrix in matrices.items():
        expected = slopes(net, matrix, distiller, balance)[chosen].sum(0).float()
        torch.testing.assert_close(balancer.learnt[group].grad, expected, rtol=3e-2, atol=1e-2 * float(expected.norm()))
        update = update + 0.3 * matrix.sum(0)
    torch.testing.assert_close(shared_grad(net), update, rtol=1e-4, atol=1e-6)  # of the first batch alone


def test_moml_takes_the_shortest_vector_of_two_tasks() -> None:
    balancer = MOML()
    net, _ = build(balancer, tasks=(names := ("segmentation", "depth")))
    data = batch(0, 1, tasks=names), batch(2, 3, tasks=names)
    weights = step(balancer, net, None, *data)
    assert [float(w) for w in weights.values()] == [1, 1]
    first, second = (jacobian(losses(net, None, one)[0], net.shared_parameters()) for one in data)
    a = torch.zeros(2, requires_grad=True)
    rows = [torch.autograd.grad(-(2 * torch.softmax(a, 0)) @ (first @ g), a)[0] for g in second]
    s = shortest_between(*rows)
    torch.testing.assert_close(balancer.learnt["task"].grad, s * rows[0] + (1 - s) * rows[1], rtol=1e-3, atol=1e-5)


def test_lambda_stays_at_0_or_above_and_is_saved() -> None:
    balancer = AutoLambda()
    build(balancer)
    with torch.no_grad():
        balancer.learnt["task"].copy_(torch.tensor([-1.0, 0.0, 2.0]))
    balancer.after_step(lambda distilled: None)
    assert balancer.learnt["task"].tolist() == [0, 0, 2]
    other = AutoLambda()
    build(other)
    other.load_state_dict(reloaded(balancer.state_dict()))
    assert other.learnt["task"].tolist() == [0, 0, 2]


@pytest.mark.parametrize("make", [AutoLambda, MOML])
def test_a_task_without_a_label_in_either_batch(make: Any) -> None:
    balancer = make()
    net, _ = build(balancer)
    weights = step(balancer, net, None, batch(0, 1, without=["depth"]), SECOND)
    assert set(weights) == {"segmentation", "normals"}
    assert balancer.learnt["task"].grad.isfinite().all()
    if make is AutoLambda:
        assert balancer.learnt["task"].grad[1] == 0
    step(balancer, net, None, FIRST, batch(2, 3, without=["depth"]))
    assert balancer.learnt["task"].grad.all()


def test_a_primary_task_that_is_none() -> None:
    with pytest.raises(UserError, match=r"balancer.primary: expected tasks among .*; found `albedo`"):
        build(AutoLambda(primary=["albedo"]))
