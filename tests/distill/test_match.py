"""Adaptor, distance and weight of a single pair of taps, for one teacher or for all."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser
from tests.distill import tiny
from torch import Tensor, nn

from tutelage.distill import (
    L2,
    MLP,
    Conv1x1,
    FeatureDistiller,
    LogitDistiller,
    NormalisedL2,
    SmoothL1,
    SumDistiller,
    TapMatch,
    Teacher,
)
from tutelage.errors import UserError
from tutelage.tasks import Depth, Segmentation
from tutelage.types import Distiller, MultiTaskNet, Task

TASKS: dict[str, Task] = {"colour": Segmentation(classes=3), "height": Depth()}
EXAMPLE = torch.zeros(1, 3, 4, 6)
SAME = {"bottleneck": "bottleneck", "last": "last"}


def narrow(in_channels: int, out_channels: int) -> MLP:
    return MLP(in_channels, out_channels, hidden=5)


def assert_terms(
    distiller: FeatureDistiller, pairs: Mapping[tuple[str, str, str], tuple[type, nn.Module, float]]
) -> None:
    """The terms of every teacher against the sum over its pairs of taps.

    Args:
        distiller: of the teachers.
        pairs: (teacher, student's tap, teacher's tap) -> class of the adaptor, distance, lambda and weight in one.
    """
    student, batch = tiny.student().eval(), tiny.batch()
    output = student(batch.images)
    terms, distances = distiller(batch, output), distiller.distances()
    expected = dict.fromkeys(terms, torch.tensor(0.0))
    for (name, tap, teacher_tap), (adaptor_class, distance, weight) in pairs.items():
        adaptor = distiller.adaptors[name][tap]
        assert type(adaptor) is adaptor_class
        feature = distiller.teachers(batch.images, name)[teacher_tap]
        d = distance(adaptor(output.taps[tap], feature.shape[2:]), feature).mean()
        torch.testing.assert_close(distances[f"{name}/{tap}"], d.detach())  # without lambda and weight
        expected[name] = expected[name] + weight * d
    for name, value in expected.items():
        torch.testing.assert_close(terms[name].mean(), value)


def test_pairs_of_taps_of_all_teachers() -> None:
    match = {"bottleneck": TapMatch("last", narrow, L2(), 0.25), "last": "last"}
    distiller = FeatureDistiller(tiny.student(), tiny.teachers(), EXAMPLE, match, weights={"height": 2.0})
    assert_terms(
        distiller,
        {
            ("colour", "bottleneck", "last"): (MLP, L2(), 0.25),
            ("colour", "last", "last"): (Conv1x1, NormalisedL2(), 1.0),
            ("height", "bottleneck", "last"): (MLP, L2(), 0.5),
            ("height", "last", "last"): (Conv1x1, NormalisedL2(), 2.0),
        },
    )


def test_pairs_of_taps_of_each_teacher() -> None:
    nets = tiny.teachers()
    own = {"bottleneck": TapMatch("bottleneck", weight=3.0), "last": TapMatch("last", distance=SmoothL1())}
    teachers = {"colour": nets["colour"], "height": Teacher("height", nets["height"], ("height",), own, weight=0.5)}
    match = {"bottleneck": "bottleneck", "last": TapMatch("last", narrow)}
    distiller = FeatureDistiller(tiny.student(), teachers, EXAMPLE, match, distance=L2(), scale=2.0)
    assert_terms(
        distiller,
        {
            ("colour", "bottleneck", "bottleneck"): (Conv1x1, L2(), 2.0),
            ("colour", "last", "last"): (MLP, L2(), 2.0),
            ("height", "bottleneck", "bottleneck"): (Conv1x1, L2(), 3.0),
            ("height", "last", "last"): (Conv1x1, SmoothL1(), 1.0),
        },
    )


def test_what_is_left_out_is_the_distillers() -> None:
    batch, state = tiny.batch(), []
    for match in (SAME, {tap: TapMatch(teacher_tap) for tap, teacher_tap in SAME.items()}):
        torch.manual_seed(3)
        distiller = FeatureDistiller(tiny.student(), tiny.teachers(), EXAMPLE, match)
        terms = distiller(batch, tiny.student().eval()(batch.images))
        state.append({**distiller.state_dict(), **{t: term.sum for t, term in terms.items()}})
    assert list(state[0]) == list(state[1])
    assert all(torch.equal(state[0][key], state[1][key]) for key in state[0])


def test_a_distance_of_a_pair_is_part_of_the_distiller() -> None:
    """So that its tensors move with it, are trained with it and are saved with it."""

    class Scaled(L2):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def per_image(self, a: Tensor, b: Tensor) -> Tensor:
            return self.scale * super().per_image(a, b)

    distance = Scaled()
    distiller = FeatureDistiller(
        tiny.student(), tiny.teachers(), EXAMPLE, {"bottleneck": "bottleneck", "last": TapMatch("last", None, distance)}
    )
    assert any(p is distance.scale for p in distiller.parameters())
    assert "own_distances.colour.last.scale" in distiller.state_dict()


def test_a_teacher_of_two_tasks_with_a_feature_per_task() -> None:
    student, batch = tiny.student(per_task=True).eval(), tiny.batch()
    teacher = Teacher("multi", tiny.student(seed=5, per_task=True), ("colour", "height"))
    plain, weighted = (
        FeatureDistiller(student, {"multi": teacher}, EXAMPLE, {"bottleneck": "bottleneck", "last": last})
        for last in ("last", TapMatch("last", weight=4.0))
    )
    weighted.load_state_dict(plain.state_dict())
    output = student(batch.images)
    one, four = plain(batch, output), weighted(batch, output)
    torch.testing.assert_close(four["multi"].sum, one["multi"].sum)
    for t in TASKS:
        torch.testing.assert_close(four[f"multi/{t}"].sum, 4 * one[f"multi/{t}"].sum)


def test_built_from_yaml() -> None:
    """As a study does; also beside a plain name, and within a sum."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--distiller", type=Callable[[MultiTaskNet, Mapping[str, MultiTaskNet], Tensor], Distiller])
    match = {
        "bottleneck": "bottleneck",
        "last": {
            "tap": "last",
            "adaptor": {"class_path": "tutelage.distill.MLP", "init_args": {"hidden": 7}},
            "distance": {"class_path": "tutelage.distill.SmoothL1", "init_args": {"beta": 2.0}},
            "weight": 0.5,
        },
    }
    parts = [
        {"class_path": "tutelage.distill.FeatureDistiller", "init_args": {"match": match}},
        {"class_path": "tutelage.distill.LogitDistiller"},
    ]
    values = {"class_path": "tutelage.distill.SumDistiller", "init_args": {"parts": parts}}
    config = parser.parse_object({"distiller": values})
    distiller = parser.instantiate(config).distiller(tiny.student(), tiny.teachers(), EXAMPLE)
    features, logits = distiller.parts
    assert isinstance(logits, LogitDistiller)
    assert_terms(
        features,
        {(t, tap, tap): pair for t in TASKS for tap, pair in {
            "bottleneck": (Conv1x1, NormalisedL2(), 1.0), "last": (MLP, SmoothL1(beta=2.0), 0.5)
        }.items()},
    )  # fmt: skip
    assert features.adaptors["height"]["last"].first.out_features == 7


def test_a_match_of_a_teacher_built_from_yaml() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--match", type=Mapping[str, str | TapMatch] | None)
    distance = {"class_path": "tutelage.distill.L2"}
    config = parser.parse_object({"match": {"last": {"tap": "bottleneck", "distance": distance, "weight": 2}}})
    teacher = Teacher("dino", tiny.Tiny({}), (), parser.instantiate(config).match)
    distiller = FeatureDistiller(tiny.student(), {"dino": teacher}, EXAMPLE, {})
    assert_terms(distiller, {("dino", "last", "bottleneck"): (Conv1x1, L2(), 2.0)})


def test_parts_of_a_sum_give_one_teacher_a_distance_and_a_schedule_of_its_own() -> None:
    """The recipe for what no `TapMatch` says, and for a pair of taps with two distances."""
    parts = [
        lambda *args: FeatureDistiller(*args, SAME),
        lambda *args: FeatureDistiller(*args, SAME, distance=L2(), taps=["last"], only=["height"], schedule="linear"),
    ]
    student, batch = tiny.student().eval(), tiny.batch()
    distiller = SumDistiller(student, tiny.teachers(), EXAMPLE, parts)
    output = student(batch.images)
    distiller.begin_step(0.75, observed=False)
    terms = distiller(batch, output)
    first, second = (part(batch, output) for part in distiller.parts)
    torch.testing.assert_close(terms["colour"].sum, first["colour"].sum)
    torch.testing.assert_close(terms["height"].sum, first["height"].sum + second["height"].sum)
    assert list(distiller.parts[1].adaptors) == ["height"]
    torch.testing.assert_close(
        second["height"].mean(), 0.25 * distiller.parts[1].distances()["height/last"], check_dtype=False
    )


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_a_weight_that_is_none(weight: float) -> None:
    match, line = {"last": TapMatch("last", weight=weight)}, rf"match.last.weight: .* at least 0, found {weight}"
    with pytest.raises(UserError, match=f"FeatureDistiller.{line}"):
        FeatureDistiller(tiny.student(), tiny.teachers(), EXAMPLE, match)
    teacher = Teacher("dino", tiny.Tiny({}), (), match)
    with pytest.raises(UserError, match=f"teachers.dino.{line}"):
        FeatureDistiller(tiny.student(), {"dino": teacher}, EXAMPLE, {})


@pytest.mark.parametrize(
    ("match", "line"), [({"last": TapMatch("neck")}, "teacher `colour`"), ({"neck": TapMatch("last")}, "student")]
)
def test_taps_that_do_not_exist(match: Any, line: str) -> None:
    with pytest.raises(UserError, match=rf"FeatureDistiller.match: expected taps of the {line} .*, found `neck`"):
        FeatureDistiller(tiny.student(), tiny.teachers(), EXAMPLE, match)
