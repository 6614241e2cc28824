"""What is logged of the tasks' gradients."""

from itertools import combinations

import pytest
import torch
from tests.balance.gradient_model import TASKS, Net, batch, build, flat_grad, grads, losses, step
from tests.train.fixture import assert_same
from torch import Tensor

from tutelage.balance import Aggregator, Uniform, conflict
from tutelage.train import PartialStep, objective, training_step
from tutelage.types import Balancer, Batch, MultiTaskNet, Terms


@pytest.mark.parametrize("heads", ["last", "aliases", "nothing"])
def test_cosines_and_norms_are_those_of_the_exact_gradients(heads: str) -> None:
    net, distiller = build(Uniform(), "features", heads=heads)
    data = batch(0, 1)
    terms, _ = objective([data], net, TASKS, distiller, Uniform())
    found = conflict(terms, net)
    rows = {t: flat_grad(x, net.shared_parameters()) for t, x in losses(net, distiller, data)[0].items()}
    expected = {f"gradient/norm/{t}": row.norm() for t, row in rows.items()}
    cosines = {(a, b): torch.cosine_similarity(rows[a], rows[b], dim=0) for a, b in combinations(rows, 2)}
    expected |= {f"gradient/cosine/{a}/{b}": cosine for (a, b), cosine in cosines.items()}
    negative = sum(float(cosine) < 0 for cosine in cosines.values())
    assert 0 < negative < 3 or heads == "aliases"
    expected["gradient/conflicting"] = torch.tensor(negative / 3)
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    "balancer", [Uniform, lambda: Aggregator("MGDA"), lambda: Aggregator("MGDA", where="representation")]
)
def test_a_step_that_is_observed_is_the_same_step(balancer: type[Balancer]) -> None:
    def run(watch: bool) -> list[dict[str, Tensor | None]]:
        made = balancer()
        net, distiller = build(made, "features")
        found = []
        for data in (batch(0, 1), batch(2, 3)):
            net.zero_grad()
            seen: list[dict[str, Tensor | None]] = []

            def observe(terms: Terms, net: MultiTaskNet, seen: list[dict[str, Tensor | None]] = seen) -> None:
                before = grads(net)
                if watch:
                    assert conflict(terms, net)
                assert_same(grads(net), before)
                seen.append(before)

            made.begin_step(0.0)
            training_step(
                [data], net, TASKS, distiller, made, PartialStep.split([[data]], distiller)[0], observe=observe
            )
            made.finish()
            found += [*seen, grads(net), grads(distiller)]
        return found

    assert_same(run(watch=True), run(watch=False))


def test_grad_that_is_there_stays() -> None:
    net, _ = build(Uniform())
    step(Uniform(), net, None, batch(2))
    before = grads(net)
    kept = [p.grad for p in net.parameters()]
    terms, _ = objective([batch(0, 1)], net, TASKS, None, Uniform())
    conflict(terms, net)
    assert_same(grads(net), before)
    assert all(p.grad is grad for p, grad in zip(net.parameters(), kept, strict=True))


@pytest.mark.parametrize("data", [batch(0, without=["depth", "normals"]), batch(0, without=TASKS)], ids=["one", "none"])
def test_nothing_for_fewer_than_two_tasks(data: Batch) -> None:
    net, distiller = build(Uniform(), "features")
    terms, _ = objective([data], net, TASKS, distiller, Uniform())
    assert conflict(terms, net) == {}


def test_opposite_equal_and_no_gradients() -> None:
    class Opposite(Net):
        def terms(self) -> Terms:
            x = self.first.weight.sum()
            terms, _ = objective([batch(0)], self, TASKS, None, Uniform())
            for t, sign in zip(TASKS, (1, -1, 0), strict=True):
                terms.task[t].sum, terms.task[t].count = sign * x, torch.tensor(1)
            return terms

    net = Opposite()
    found = conflict(net.terms(), net)
    assert float(found["gradient/cosine/segmentation/depth"]) == pytest.approx(-1)
    assert float(found["gradient/cosine/segmentation/normals"]) == 0
    assert float(found["gradient/conflicting"]) == pytest.approx(1 / 3)


def test_a_task_without_a_valid_position_is_not_there() -> None:
    net, _ = build(Uniform())
    data = batch(0, 1)
    data.targets["normals"].valid[:] = False
    terms, _ = objective([data], net, TASKS, None, Uniform())
    assert "gradient/norm/normals" not in conflict(terms, net)
