"""GradDrop against algorithm 1 of its paper, position by position."""

from collections.abc import Sequence
from typing import Any, get_args

import pytest
import torch
from tests.balance.balancer_tester import WholeStep
from tests.balance.gradient_model import (
    TASKS,
    assert_own_gradients_are_plain,
    batch,
    build,
    flat_grad,
    grads,
    grouped,
    losses,
    reloaded,
    shared_grad,
    step,
)
from tests.balance.test_aggregator import Representation
from tests.train.fixture import assert_same
from torch import Tensor
from torchjd import aggregation

from tutelage.balance import GradDrop, TaskGradients
from tutelage.balance.objective import Balance
from tutelage.types import Term, TermMap, Terms

BALANCES: tuple[Balance, ...] = get_args(Balance)
LEAKS = {"depth": 0.3, "normals": 1.0}


def dropped(z: Tensor, gradients: Sequence[Tensor], u: Tensor, leaks: Sequence[float]) -> Tensor:
    """What passes to a tensor [B, ...]."""
    found = torch.zeros_like(z.detach()).flatten(1)
    z, gradients, u = z.detach().flatten(1), [g.flatten(1) for g in gradients], u.flatten()
    for k in range(z.shape[1]):
        g = [sum(float(z[b, k].sign() * gradient[b, k]) for b in range(len(z))) for gradient in gradients]
        p = 0.5 * (1 + sum(g) / (sum(abs(x) for x in g) or 1))
        for x, gradient, leak in zip(g, gradients, leaks, strict=True):
            mask = (p > u[k] and x > 0) or (p < u[k] and x < 0)
            found[:, k] += (leak + (1 - leak) * mask) * gradient[:, k]
    return found


def given(z: Tensor, matrix: Tensor) -> TaskGradients:
    return TaskGradients(list(TASKS), [0, 1, 2], torch.ones(3), [matrix], "task", {}, [z])


@pytest.mark.parametrize("leak", [0.0, 0.25, LEAKS])
@pytest.mark.parametrize("heads", ["last", "aliases"])
@pytest.mark.parametrize("balance", BALANCES)
def test_gradient(balance: Balance, heads: Any, leak: Any) -> None:
    made = GradDrop(leak, balance)
    net, distiller = build(made, "features", heads=heads, contiguous=True)  # numbers are drawn as positions lie
    data, shared = batch(0, 1, 2), net.shared_parameters()
    assert step(made, net, distiller, data) == {}
    leaks = [leak.get(t, 0.0) if isinstance(leak, dict) else leak for t in TASKS]
    at = Representation(net, distiller, data, balance)
    _, rest = grouped(losses(net, distiller, data), balance)
    expected = [flat_grad(x, shared) for x in rest]
    torch.manual_seed(3)
    for matrix in at.matrices:
        pieces = [row.split([z.numel() for z in at.leaves]) for row in matrix]
        passed = [
            dropped(z, [row[i].view_as(z) for row in pieces], torch.rand_like(z[0]), leaks).flatten()
            for i, z in enumerate(at.leaves)
        ]
        expected.append(at.through_the_trunk(net, data, torch.cat(passed)))
    torch.testing.assert_close(shared_grad(net), torch.stack(expected).sum(0), rtol=1e-3, atol=1e-6)
    assert_own_gradients_are_plain(net, distiller, data)


def test_one_image_of_positive_features_is_torchjds() -> None:
    generator = torch.Generator().manual_seed(0)
    z, matrix = torch.rand(1, 4, 5, 6, generator=generator), torch.randn(3, 120, generator=generator)
    made = GradDrop()
    build(made)
    torch.manual_seed(5)
    found = made.combine(given(z, matrix)).vector
    torch.manual_seed(5)
    torch.testing.assert_close(found, aggregation.GradDrop()(matrix))
    assert ((found == 0) | (found == matrix.sum(0))).float().mean() < 0.5  # of conflicting tasks some are heard


def test_one_sign_for_all_images_by_what_the_features_say() -> None:
    """Two images at one position, written out."""
    z = torch.tensor([[1.0], [-1.0]])
    matrix = torch.tensor([[3.0, 1.0], [-1.0, 2.0], [0.5, 1.0]])  # G = (3 - 1, -1 - 2, 0.5 - 1) = (2, -3, -0.5)
    made = GradDrop()
    build(made)
    up, down = torch.tensor([3.0, 1.0]), torch.tensor([-0.5, 3.0])
    found = []
    for seed in range(400):
        torch.manual_seed(seed)
        found.append(made.combine(given(z, matrix)).vector)
    ups = torch.stack([(x == up).all() for x in found])
    assert all((x == up).all() or (x == down).all() for x in found)
    assert float(ups.float().mean()) == pytest.approx(0.5 * (1 - 1.5 / 5.5), abs=0.07)  # P


def test_what_no_task_speaks_of_stays_zero() -> None:
    made = GradDrop()
    build(made)
    found = made.combine(given(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]))).vector
    assert found.tolist() == [0, 0]  # no feature, or no gradient


def test_a_task_whose_images_cancel_is_not_heard() -> None:
    made = GradDrop()
    build(made)
    found = made.combine(given(torch.ones(2, 1), torch.tensor([[1.0, -1.0], [1.0, 2.0], [3.0, 3.0]]))).vector
    assert found.tolist() == [4, 5]


def test_aggregator_as_small_as_those_of_features() -> None:
    generator = torch.Generator().manual_seed(0)
    z, matrix = torch.randn(2, 4, 3, generator=generator), torch.randn(3, 24, generator=generator)
    made = GradDrop()
    build(made)
    found = []
    for scale in (1.0, 2.0**-40):
        torch.manual_seed(5)
        found.append(made.combine(given(z, scale * matrix)).vector / scale)
    assert_same(*found)


def test_half_precision_features() -> None:
    generator = torch.Generator().manual_seed(0)
    z, matrix = torch.randn(2, 4, 3, generator=generator).bfloat16(), torch.randn(3, 24, generator=generator)
    made = GradDrop()
    build(made)
    found = []
    for features in (z, z.float()):
        torch.manual_seed(5)
        found.append(made.combine(given(features, matrix)).vector)
    assert_same(*found)


def test_equal_gradients_give_their_sum() -> None:
    made = GradDrop()
    net, _ = build(made)
    output = net(batch(0).images)
    loss = output.shared[0].square().sum()
    gradient = flat_grad(loss, net.shared_parameters())
    made.begin_step(0.0)
    made.backward(Terms(TermMap({t: Term(loss, torch.tensor(1)) for t in TASKS})), [output], net, WholeStep())
    made.finish()
    torch.testing.assert_close(shared_grad(net), 3 * gradient, rtol=1e-3, atol=1e-4)


def test_the_order_of_the_tasks_says_nothing() -> None:
    found = []
    for order in (tuple(TASKS), ("normals", "segmentation", "depth")):
        made = GradDrop(LEAKS)
        net, _ = build(made, tasks=order)
        step(made, net, None, batch(0, 1, 2))
        found.append(shared_grad(net))
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-5)


def test_missing_labels() -> None:
    """The tasks that a step has, with leaks of their own."""
    data = batch(2, 3, without=["segmentation"])
    found = []
    for tasks in (tuple(TASKS), ("depth", "normals")):
        made = GradDrop(LEAKS)
        net, _ = build(made, tasks=tasks, named=list(TASKS))
        step(made, net, None, data)
        found.append(shared_grad(net))
    assert_same(*found)
    assert step(made, net, None, batch(0, without=TASKS)) == {}
    assert all(p.grad is None or not p.grad.any() for p in net.parameters())


def test_a_resumed_run_is_an_undisturbed_one() -> None:
    made = GradDrop()
    net, distiller = build(made, "features")
    step(made, net, distiller, batch(0, 1))
    after = GradDrop()
    again, distiller_again = build(after, "features")
    after.load_state_dict(reloaded(made.state_dict()))
    step(made, net, distiller, batch(1, 2), seed=8)
    step(after, again, distiller_again, batch(1, 2), seed=8)
    assert_same(grads(net), grads(again))


@pytest.mark.parametrize(
    ("leak", "message"),
    [
        ({"dept": 0.5}, "balancer.leak: expected some of the tasks segmentation, depth, normals, found `dept`"),
        (1.5, "balancer.leak: expected numbers from 0 to 1, found 1.5 for `segmentation`"),
        ({"depth": -0.1}, "balancer.leak: expected numbers from 0 to 1, found -0.1 for `depth`"),
        (float("nan"), "balancer.leak: expected numbers from 0 to 1, found nan for `segmentation`"),
    ],
)
def test_wrong_leaks(leak: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        build(GradDrop(leak))
