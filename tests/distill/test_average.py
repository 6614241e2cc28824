"""The student's moving average as a teacher."""

from typing import Any

import pytest
import torch
from tests.distill import tiny
from torch import Tensor

from tutelage.distill import AverageDistiller, FeatureDistiller, LogitDistiller, SumDistiller
from tutelage.errors import UserError
from tutelage.tasks import Depth, Segmentation
from tutelage.types import Task

TASKS: dict[str, Task] = {"colour": Segmentation(classes=3), "height": Depth()}
EXAMPLE = torch.zeros(1, 3, 4, 6)


def build(student: tiny.Tiny, decay: float = 0.5, make: Any = LogitDistiller) -> AverageDistiller:
    torch.manual_seed(3)
    distiller = AverageDistiller(student, {}, EXAMPLE, make, decay)
    distiller.setup(TASKS)
    return distiller


def drift(student: tiny.Tiny) -> None:
    with torch.no_grad():
        for p in student.parameters():
            p.add_(0.1)
        student.encoder[1].running_mean.add_(1.0)


def moved(decay: float, steps: int) -> tuple[list[Tensor], AverageDistiller, tiny.Tiny]:
    """The average by its definition, after some steps; the distiller and the student."""
    student = tiny.student()
    distiller = build(student, decay)
    expected = [p.detach().clone() for p in student.parameters()]
    for n in range(steps):
        if n:
            a = min(decay, n / (n + 9))
            expected = [a * e + (1 - a) * p.detach() for e, p in zip(expected, student.parameters(), strict=True)]
        distiller.begin_step(n / steps, observed=False)
        drift(student)
    return expected, distiller, student


@pytest.mark.parametrize("decay", [0.0, 0.2, 0.999])
def test_the_average_follows_the_student(decay: float) -> None:
    expected, distiller, _ = moved(decay, 4)
    for p, e in zip(distiller.average.parameters(), expected, strict=True):
        torch.testing.assert_close(p, e)
    torch.testing.assert_close(distiller.average.encoder[1].running_mean, torch.full((4,), 3.0))


def test_the_average_teaches_all_tasks_and_is_not_trained() -> None:
    _, distiller, student = moved(0.5, 2)
    distiller.train()
    assert not distiller.average.training
    assert not any(p.requires_grad for p in distiller.parameters())
    batch = tiny.batch()
    student.eval()
    terms = distiller(batch, student(batch.images))
    assert set(terms) == {"average/colour", "average/height"} == set(distiller.teaches())
    taught = distiller.average(batch.images).predictions["height"]
    error = (student(batch.images).predictions["height"] - taught).abs().mean()
    torch.testing.assert_close(terms["average/height"].mean(), error)
    distiller.begin_step(0.5, observed=False)
    assert terms["average/height"].sum.requires_grad


def test_a_resumed_run_has_the_same_average() -> None:
    _, one, student = moved(0.5, 3)
    other = build(student)
    other.load_state_dict(one.state_dict())
    for distiller in (one, other):
        distiller.begin_step(0.9, observed=False)
    for a, b in zip(one.average.state_dict().values(), other.average.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_beside_other_teachers_and_by_features() -> None:
    student, batch = tiny.student(), tiny.batch()
    parts = [
        lambda *args: AverageDistiller(*args, lambda *own: FeatureDistiller(*own, {"last": "last"})),
        lambda *args: FeatureDistiller(*args, {"last": "last"}),
    ]
    both = SumDistiller(student, tiny.teachers(), EXAMPLE, parts)
    both.begin_step(0.0, observed=False)
    assert set(both(batch, student(batch.images))) == {"average", "colour", "height"}


def test_a_decay_that_is_none() -> None:
    with pytest.raises(UserError, match=r"AverageDistiller.decay: expected a number from 0 to below 1, found 1"):
        build(tiny.student(), decay=1)
