"""Teachers weighted by feedback: the losses of student and teachers on a batch that is not learnt from."""

import pytest
import torch
from tests.balance.gradient_model import TASKS, Net, batch, build, flat_grad, losses, sample, shared_grad, step

from tutelage.balance import FeedbackWeighting, Uniform
from tutelage.distill import FeatureDistiller, SumDistiller, TeacherLosses
from tutelage.errors import UserError
from tutelage.types import Distiller

EXAMPLE = sample(0)["image"][None]


def taught(net: Net) -> SumDistiller:
    torch.manual_seed(4)
    parts = [lambda *args: FeatureDistiller(*args, {"last": "last"}), TeacherLosses]
    distiller = SumDistiller(net, {t: Net([t]) for t in TASKS}, EXAMPLE, parts)
    distiller.setup(TASKS)
    return distiller


def ready(balancer: FeedbackWeighting) -> tuple[Net, SumDistiller]:
    net, _ = build(Uniform())
    distiller = taught(net)
    balancer.setup(TASKS, net, distiller)
    return net, distiller


def loss_of(net: Net, distiller: Distiller | None, indices: tuple[int, ...]) -> dict[str, float]:
    return {t: float(x.detach()) for t, x in losses(net, distiller, batch(*indices))[0].items()}


def test_teachers_weigh_by_the_ratio_of_the_losses_on_the_held_batches() -> None:
    balancer = FeedbackWeighting()
    net, distiller = ready(balancer)
    teachers = distiller.parts[1].teachers.networks
    sums = {t: [0.0, 0.0] for t in TASKS}
    for held in ((0, 1), (2, 3)):
        weights = step(balancer, net, distiller, batch(*held), batch(4, 5))
        assert {float(w) for w in weights.values()} == {1.0}
        for t in TASKS:
            sums[t][0] += loss_of(net, None, held)[t]
            other = TASKS[t].loss(teachers[t](batch(*held).images).predictions[t], batch(*held).targets[t])
            sums[t][1] += float(other.mean())
    balancer.end_epoch()
    ratios = {t: own / other for t, (own, other) in sums.items()}
    expected = {t: 3 * r / sum(ratios.values()) for t, r in ratios.items()}
    data = batch(4, 5)
    weights = step(balancer, net, distiller, batch(0, 1), data)
    assert set(weights) == {*TASKS, *(f"distill/{t}" for t in TASKS)}
    for t in TASKS:
        assert float(weights[t]) == 1
        assert float(weights[f"distill/{t}"]) == pytest.approx(expected[t], rel=1e-4)
    task, distances = losses(net, distiller, data)
    total = sum(task.values()) + sum(expected[t] * distances[t] for t in TASKS)
    torch.testing.assert_close(shared_grad(net), flat_grad(total, net.shared_parameters()), rtol=1e-4, atol=1e-6)


def test_what_the_teachers_lose_teaches_nothing() -> None:
    net, distiller = ready(FeedbackWeighting())
    part, data = distiller.parts[1], batch(0, 1, without=["depth"])
    terms = part(data, net(data.images))
    assert set(terms) == set(part.counts(data)) == {"loss/segmentation/segmentation", "loss/normals/normals"}
    assert not any(term.sum.requires_grad for term in terms.values())
    own = TeacherLosses(net, part.teachers.networks, EXAMPLE, teach="own")
    own.setup(TASKS)
    for key, term in own(data, net(data.images)).items():
        torch.testing.assert_close(term.sum, terms[key].sum)


def test_it_needs_the_teachers_losses() -> None:
    with pytest.raises(UserError, match=r"expected a distiller with the loss of another network on `segmentation`"):
        build(FeedbackWeighting(), "features")


def test_a_term_with_the_name_of_a_task_weighs_by_all_tasks_that_it_counts_for() -> None:
    class Both(SumDistiller):
        def teaches(self) -> dict[str, tuple[str, ...]]:
            return super().teaches() | {"segmentation": ("segmentation", "depth")}

    net, _ = build(Uniform())
    parts = [lambda *args: FeatureDistiller(*args, {"last": "last"}), TeacherLosses]
    distiller = Both(net, {t: Net([t]) for t in TASKS}, EXAMPLE, parts)
    distiller.setup(TASKS)
    balancer = FeedbackWeighting()
    balancer.setup(TASKS, net, distiller)
    balancer.ratios.copy_(torch.tensor([3.0, 1.0, 2.0]))
    weights = balancer.weigh("distill", {t: torch.ones(()) for t in TASKS})
    assert [float(weights[t]) for t in TASKS] == pytest.approx([1.0, 0.5, 1.0])
