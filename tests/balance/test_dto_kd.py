"""DTO-KD against its definition: the shortest vector between two gradients of logarithms."""

from typing import Any

import pytest
import torch
from tests.balance.gradient_model import (
    TASKS,
    batch,
    build,
    flat_grad,
    losses,
    own_parameters,
    shared_grad,
    step,
)
from tests.reference.balance_reference import shortest_between
from torch import Tensor

from tutelage.balance import DTOKD
from tutelage.balance.dto_kd import shortest
from tutelage.errors import UserError


def expected_weights(o: list[Tensor], inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """pi_i / o_i, and the two gradients of logarithms."""
    g = torch.stack([flat_grad(x.log(), inputs) for x in o])
    first = shortest_between(*g.double())
    return torch.tensor([first, 1 - first]) / torch.stack(o).detach(), g


@pytest.mark.parametrize("distil", ["features", "predictions"])
@pytest.mark.parametrize("where", ["parameters", "representation"])
def test_a_step(where: Any, distil: Any) -> None:
    balancer, data = DTOKD(where), batch(0, 1)
    net, distiller = build(balancer, distil)
    weights = step(balancer, net, distiller, data)
    assert set(weights) == {"labels", "teachers"}
    found = torch.stack([weights["labels"], weights["teachers"]])
    task, distilled = losses(net, distiller, data)
    o = [torch.stack([*part.values()]).sum() for part in (task, distilled)]
    if where == "parameters":
        pi, g = expected_weights(o, net.shared_parameters())
        torch.testing.assert_close(found, pi, rtol=1e-2, atol=1e-3)
        update = shared_grad(net)  # neither in conflict nor dominant: the same product with both, if within the bounds
        if (found > 0).all():
            torch.testing.assert_close(g[0] @ update, g[1] @ update, rtol=1e-2, atol=1e-4)
    combined = found @ torch.stack([flat_grad(x, net.shared_parameters()) for x in o])
    torch.testing.assert_close(shared_grad(net), combined, rtol=1e-4, atol=1e-6)
    for name, p in own_parameters(net, distiller).items():
        if name.startswith("skips"):  # which this network does not use
            continue
        parts = torch.stack([flat_grad(x, [p]) for x in o])
        expected = parts.sum(0) if p not in set(net.parameters()) else found @ parts
        torch.testing.assert_close(p.grad.flatten(), expected, rtol=1e-4, atol=1e-6, msg=name)


def test_without_a_label_the_teachers_have_it_all() -> None:
    balancer = DTOKD()
    net, distiller = build(balancer, "features")
    data = batch(0, 1, without=TASKS)
    weights = step(balancer, net, distiller, data)
    total = torch.stack([*losses(net, distiller, data)[1].values()]).sum()
    assert float(weights["teachers"] * total.detach()) == pytest.approx(1)
    assert "labels" not in weights


@pytest.mark.parametrize(
    ("first", "second"),
    [([1.0, 0.0], [0.0, 2.0]), ([1.0, 0.1], [3.0, 0.2]), ([-1.0, 1.0], [2.0, 0.0]), ([1.0, 0.0], [1.0, 0.0])],
    ids=["across", "one is short", "in conflict", "equal"],
)
def test_the_shortest_vector(first: list[float], second: list[float]) -> None:
    a, b = torch.tensor(first), torch.tensor(second)
    pi = shortest(torch.stack([a, b]) @ torch.stack([a, b]).T)
    assert float(pi.sum()) == 1
    length = float((pi @ torch.stack([a, b])).norm())
    s = shortest_between(a, b)
    assert length == pytest.approx(float((s * a + (1 - s) * b).norm()), abs=1e-6)


def test_it_needs_distillation() -> None:
    with pytest.raises(UserError, match=r"balancer: expected a method with a `distiller` for DTOKD.*; give it one"):
        build(DTOKD())
