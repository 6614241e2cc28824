"""Several distillers at once."""

from functools import partial

import pytest
import torch
from tests.distill import tiny
from tests.train.fixture import assert_same

from tutelage.distill import FeatureDistiller, LogitDistiller, OnlineDistiller, SumDistiller
from tutelage.errors import UserError
from tutelage.tasks import Depth, Segmentation
from tutelage.types import Task

TASKS: dict[str, Task] = {"colour": Segmentation(classes=3), "height": Depth()}
EXAMPLE = torch.zeros(1, 3, 4, 6)


def parts() -> list:
    return [
        lambda student, teachers, example: FeatureDistiller(student, teachers, example, {"last": "last"}),
        lambda student, teachers, example: LogitDistiller(student, teachers, example, schedule="linear"),
    ]


def build() -> SumDistiller:
    torch.manual_seed(3)
    distiller = SumDistiller(tiny.student(), tiny.teachers(), EXAMPLE, parts())
    distiller.setup(TASKS)
    return distiller


def test_it_is_the_sum_of_its_parts() -> None:
    student, batch, distiller = tiny.student().eval(), tiny.batch(), build()
    assert distiller.uses_predictions
    distiller.begin_step(0.25, observed=True)
    output = student(batch.images)
    whole = {t: float(term.mean().detach()) for t, term in distiller(batch, output).items()}
    separate = [{t: float(term.mean().detach()) for t, term in part(batch, output).items()} for part in distiller.parts]
    assert whole == pytest.approx({t: separate[0][t] + separate[1][t] for t in TASKS}, rel=1e-5)
    assert set(distiller.distances()) == {f"{t}/{k}" for t in TASKS for k in ("last", "prediction")}
    assert set(distiller.health()) == {f"{q}/{t}/last" for t in TASKS for q in ("dead", "cka", "norm", "rank")}


def test_it_keeps_the_adaptors_of_its_parts() -> None:
    one, other = build(), build()
    with torch.no_grad():
        for p in one.parameters():
            p.add_(1.0)
    other.load_state_dict(one.state_dict())
    assert_same(dict(other.state_dict()), dict(one.state_dict()))
    assert len(list(one.parameters())) == len(TASKS)


def test_a_sum_of_nothing() -> None:
    with pytest.raises(ValueError, match=r"SumDistiller.parts: expected one distiller or more, found none"):
        SumDistiller(tiny.student(), tiny.teachers(), EXAMPLE, [])


@pytest.mark.parametrize("first", [0, 1])
def test_a_network_that_learns_is_no_frozen_teacher(first: int) -> None:
    def learning(only: list[str] | None) -> partial[OnlineDistiller]:
        return partial(OnlineDistiller, match={"last": "last"}, only=only)

    def frozen(only: list[str] | None) -> partial[FeatureDistiller]:
        return partial(FeatureDistiller, match={"last": "last"}, only=only)

    pair = [learning(None), frozen(None)]
    with pytest.raises(UserError, match=r"parts: expected a network that learns, or a teacher, found `colour` as both"):
        SumDistiller(tiny.student(), tiny.teachers(), EXAMPLE, [pair[first], pair[1 - first]])
    SumDistiller(tiny.student(), tiny.teachers(), EXAMPLE, [learning(["colour"]), frozen(["height"])])
