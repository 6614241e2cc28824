"""OKD-MTL: networks that learn beside the student, and what the student learns of them."""

from functools import partial
from typing import Any

import pytest
import torch
from tests.distill import tiny
from tests.reference.distill_reference import adaptive_features
from torch import Tensor

from tutelage.balance import OnlineWeighting, Uniform
from tutelage.distill import LogitDistiller, OnlineDistiller, Teacher, TeacherLosses
from tutelage.errors import UserError
from tutelage.tasks import Depth, Segmentation
from tutelage.train import PartialStep, training_step
from tutelage.types import Batch, Task

TASKS: dict[str, Task] = {"colour": Segmentation(classes=3), "height": Depth()}
EXAMPLE = torch.zeros(1, 3, 4, 6)
SAME = {"bottleneck": "bottleneck", "last": "last"}


def build(**kwargs: Any) -> OnlineDistiller:
    torch.manual_seed(3)
    networks = tiny.teachers(per_task=kwargs.pop("per_task", False))
    distiller = OnlineDistiller(kwargs.pop("student", tiny.student()), networks, EXAMPLE, SAME, **kwargs)
    distiller.setup(TASKS)
    distiller.begin_step(0.5, observed=True)
    return distiller


def labelled(seed: int = 2, without: tuple[str, ...] = ()) -> Batch:
    batch = tiny.batch(seed, size=3)
    generator = torch.Generator().manual_seed(seed)
    labels: dict[str, list[Tensor]] = {
        "colour": [*torch.randint(-1, 3, (3, 4, 6), generator=generator)],
        "height": [*torch.rand(3, 1, 4, 6, generator=generator).add(0.1)],
    }
    targets = {t: TASKS[t].collate(y, batch.images) for t, y in labels.items() if t not in without}
    return Batch(batch.images, targets)


def test_the_terms_are_those_of_the_formula() -> None:
    student, batch, distiller = tiny.student().eval(), labelled(), build(scale=2.0).eval()
    output = student(batch.images)
    terms = distiller(batch, output)
    outputs = {t: network(batch.images) for t, network in distiller.online.items()}
    for t, own in outputs.items():
        loss = TASKS[t].loss(own.predictions[t], batch.targets[t])
        torch.testing.assert_close(terms[f"loss/{t}/{t}"].sum, loss.sum)
        assert int(terms[f"loss/{t}/{t}"].count) == distiller.counts(batch)[f"loss/{t}/{t}"] == int(batch.counts[t])
    expected = torch.zeros(3)
    for k in SAME:
        sigma = [float(distiller.sigma[k][t].detach()) for t in TASKS]
        features = [outputs[t].taps[k] for t in TASKS]
        if k == "bottleneck":  # the student has as many channels here
            assert not list(distiller.adaptors["features"][k].parameters())
        expected = expected + adaptive_features(output.taps[k], features, sigma)
    torch.testing.assert_close(terms["features"].sum, 2 * expected.sum(), rtol=1e-4, atol=1e-5)


def test_the_distance_moves_the_student_and_sigma_the_losses_move_the_networks() -> None:
    student, batch, distiller = tiny.student(), labelled(), build()
    terms = distiller(batch, student(batch.images))
    terms["features"].sum.backward()
    assert all(p.grad is None for network in distiller.networks() for p in network.parameters())
    assert all(sigma.grad != 0 for of_tap in distiller.sigma.values() for sigma in of_tap.values())
    assert student.encoder[0].weight.grad.any()
    student.zero_grad()
    distiller = build()
    terms = distiller(batch, student(batch.images))
    (terms["loss/colour/colour"].sum + terms["loss/height/height"].sum).backward()
    assert all(p.grad is not None for network in distiller.networks() for p in network.parameters())
    assert student.encoder[0].weight.grad is None


def test_without_labels_and_in_the_warm_up() -> None:
    student, distiller = tiny.student(), build(warmup=0.6)
    batch = labelled(without=("height",))
    assert set(distiller.counts(batch)) == {"features", "loss/colour/colour"}
    terms = distiller(batch, student(batch.images))
    assert set(terms) == {"features", "loss/colour/colour"}
    assert float(terms["features"].sum.detach()) == 0
    distiller.begin_step(0.6, observed=False)
    assert float(distiller(batch, student(batch.images))["features"].sum.detach()) > 0


def test_networks_learn_as_ever_whatever_the_balancer() -> None:
    """With `separately` or `task+distill` their losses are no objectives."""
    grads = []
    for balance in ("task", "task+distill", "separately"):
        student, batch, distiller = tiny.student(), labelled(), build()
        balancer = Uniform({"colour": 3.0}, balance=balance)
        balancer.setup(TASKS, student, distiller)
        (reduce,) = PartialStep.split([[batch]], distiller)
        torch.manual_seed(5)
        training_step([batch], student, TASKS, distiller, balancer, reduce)
        grads.append([p.grad for network in distiller.networks() for p in network.parameters()])
    for other in grads[1:]:
        assert all(torch.equal(a, b) for a, b in zip(grads[0], other, strict=True))


def test_features_of_one_task_are_compared_with_its_own_network() -> None:
    student = tiny.student(per_task=True).eval()
    distiller = build(student=student, per_task=True).eval()
    batch = labelled()
    output = student(batch.images)
    distiller(batch, output)
    expected = torch.zeros(())
    for t in TASKS:
        own = distiller.online[t](batch.images).taps["last"][t]
        sigma = float(distiller.sigma["last"][t].detach())
        expected = expected + adaptive_features(output.taps["last"][t], [own], [sigma]).mean()
    torch.testing.assert_close(distiller.distances()["features/last"], expected.detach(), rtol=1e-4, atol=1e-5)


def test_one_network_under_two_names_learns_once() -> None:
    net = tiny.student()
    teachers = {name: Teacher(name, net, (t,)) for name, t in (("a", "colour"), ("b", "height"))}
    assert OnlineDistiller(tiny.student(), teachers, EXAMPLE, SAME).networks() == [net]


def test_state_and_references() -> None:
    one, other = build(), build()
    with torch.no_grad():
        for p in one.parameters():
            p.add_(1.0)
    other.load_state_dict(one.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert one.references() == {"colour": "loss/colour/colour", "height": "loss/height/height"}
    assert set(one.health()) == {f"sigma/{t}/{k}" for t in TASKS for k in SAME}
    assert one.train().online["colour"].training


def test_weights_follow_the_ratio_of_the_losses_of_an_epoch() -> None:
    student, distiller, balancer = tiny.student(), build(), OnlineWeighting(0.5)
    balancer.setup(TASKS, student, distiller)
    sums = {t: [0.0, 0.0] for t in TASKS}
    for seed, without in ((2, ()), (3, ("height",)), (4, ())):
        batch = labelled(seed, without)
        (reduce,) = PartialStep.split([[batch]], distiller)
        terms, weights = training_step([batch], student, TASKS, distiller, balancer, reduce)
        assert all(float(w) == 1 for w in weights.values())
        for t in batch.targets:
            sums[t][0] += float(terms.task[t].mean())
            sums[t][1] += float(terms.distill[f"loss/{t}/{t}"].mean())
    balancer.end_epoch()
    ratios = torch.tensor([own / other for own, other in sums.values()])
    expected = 2 * (ratios / 0.5).exp() / (ratios / 0.5).exp().sum()
    batch = labelled(5, ("height",))
    (reduce,) = PartialStep.split([[batch]], distiller)
    again = OnlineWeighting(0.5)
    again.setup(TASKS, student, distiller)
    again.load_state_dict(balancer.state_dict())
    for one in (balancer, again):
        weights = training_step([batch], student, TASKS, distiller, one, reduce)[1]
        assert float(weights["colour"]) == pytest.approx(float(expected[0]), rel=1e-4)
        assert set(weights) == {"colour"}
    before = balancer.ratios.clone()
    balancer.end_epoch()
    assert balancer.ratios[1] == before[1]  # height had no label
    assert balancer.ratios[0] != before[0]


def test_what_is_refused() -> None:
    student = tiny.student()
    with pytest.raises(UserError, match=r"OnlineDistiller.match: expected taps of the student .*, found `neck`"):
        OnlineDistiller(student, tiny.teachers(), EXAMPLE, {"neck": "last"})
    with pytest.raises(
        UserError, match=r"expected networks with tasks.*found `dino` without; name the others in `only"
    ):
        OnlineDistiller(student, {"dino": Teacher("dino", tiny.Tiny({}), ())}, EXAMPLE, SAME)
    mixed = {**tiny.teachers(), "height": tiny.Tiny({"height": 1}, last=5)}
    with pytest.raises(UserError, match=r"match.last: expected features of one shape.*\(1, 5, 4, 6\) of `height`"):
        OnlineDistiller(student, mixed, EXAMPLE, SAME)
    with pytest.raises(UserError, match="expected a distiller with the loss of another network on `colour`"):
        OnlineWeighting().setup(TASKS, student)
    with pytest.raises(UserError, match=r"OnlineWeighting.temperature: expected a positive number, found 0"):
        OnlineWeighting(0)


@pytest.mark.parametrize("kind", [partial(OnlineDistiller, match=SAME), TeacherLosses, LogitDistiller])
def test_without_a_setup_one_line_says_so(kind: Any) -> None:
    student, data = tiny.student(), labelled()
    distiller = kind(student, tiny.teachers(), EXAMPLE)
    with pytest.raises(UserError, match=r"expected the task `colour`, whose loss it takes, found none; call its setup"):
        distiller(data, student(data.images))
