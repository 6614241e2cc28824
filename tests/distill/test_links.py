"""Adaptors, terms and their keys for teachers of one task, of several and of none."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tests.distill import tiny
from tests.reference.distill_reference import conv1x1, distance

from tutelage.distill import FeatureDistiller, LogitDistiller, SumDistiller, Teacher
from tutelage.tasks import Depth, Segmentation
from tutelage.types import Task

TASKS: dict[str, Task] = {"colour": Segmentation(classes=3), "height": Depth()}
EXAMPLE = torch.zeros(1, 3, 4, 6)
SAME = {"bottleneck": "bottleneck", "last": "last"}


def multi(per_task: bool = False, **kwargs: Any) -> Teacher:
    return Teacher("multi", tiny.student(seed=5, per_task=per_task), ("colour", "height"), **kwargs)


def build(teachers: Any, per_task: bool = False, **kwargs: Any) -> tuple[tiny.Tiny, FeatureDistiller]:
    student = tiny.student(per_task=per_task).eval()
    distiller = FeatureDistiller(student, teachers, EXAMPLE, **{"match": SAME} | kwargs)
    distiller.setup(TASKS)
    return student, distiller


@pytest.mark.parametrize(
    ("student_per_task", "teacher_per_task"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_adaptors_and_terms_of_a_teacher_of_two_tasks(student_per_task: bool, teacher_per_task: bool) -> None:
    teacher, batch = multi(teacher_per_task), tiny.batch()
    student, distiller = build({"multi": teacher}, student_per_task)
    split = student_per_task or teacher_per_task
    names = ["multi/bottleneck", *([f"multi/{t}/last" for t in TASKS] if split else ["multi/last"])]
    assert [key.removesuffix(".conv.weight") for key in distiller.state_dict()] == [
        "adaptors." + ".".join(name.rsplit("/", 1)) for name in names
    ]
    keys = ["multi", *([f"multi/{t}" for t in TASKS] if split else [])]
    assert distiller.teaches() == {"multi": ("colour", "height")} | {f"multi/{t}": (t,) for t in TASKS if split}
    assert list(distiller.counts(batch)) == keys

    output, taught = student(batch.images), teacher.network(batch.images)
    terms = distiller(batch, output)
    assert list(terms) == keys
    assert list(distiller.distances()) == names

    def expected(key: str, tap: str, task: str | None) -> torch.Tensor:
        a, b = (x if task is None or not isinstance(x, dict) else x[task] for x in (output.taps[tap], taught.taps[tap]))
        return distance(conv1x1(distiller.adaptors[key][tap].conv.weight, a), b)

    for key in keys:
        task = key.partition("/")[2] or None
        taps = ["last"] if task else ["bottleneck", *([] if split else ["last"])]
        torch.testing.assert_close(
            terms[key].mean(), sum(expected(key, tap, task) for tap in taps), rtol=1e-4, atol=1e-6
        )


def test_two_teachers_of_one_task_and_one_of_none() -> None:
    nets = tiny.teachers()
    teachers = {
        "colour": nets["colour"],
        "other": Teacher("other", tiny.teachers(seed=7)["colour"], ("colour",)),
        "dino": Teacher("dino", tiny.Tiny({}, channels=6, last=2), (), match={"bottleneck": "last"}, weight=3.0),
    }
    student, distiller = build(teachers, weights={"other": 0.5, "dino": 2.0}, scale=0.1)
    assert distiller.teaches() == {"colour": ("colour",), "other": ("colour",), "dino": ()}
    assert list(distiller.adaptors["dino"]) == ["bottleneck"]
    assert distiller.adaptors["dino"]["bottleneck"].conv.weight.shape == (2, 4, 1, 1)
    batch = tiny.batch()
    terms, d = distiller(batch, student(batch.images)), distiller.distances()
    for name, weight in {"colour": 0.1, "other": 0.05, "dino": 0.6}.items():
        total = sum(value for key, value in d.items() if key.startswith(f"{name}/"))
        torch.testing.assert_close(terms[name].mean(), weight * total)


def test_a_teacher_sees_its_own_images_and_another_all() -> None:
    nets = tiny.teachers()
    teachers = {"colour": nets["colour"], "height": Teacher("height", nets["height"], ("height",), sees="all")}
    student, distiller = build(teachers, teach="own")
    batch = tiny.batch(size=3)
    batch.labelled = {"colour": torch.tensor([False, True, False])}
    assert distiller.counts(batch) == {"colour": 1, "height": 3}
    terms = distiller(batch, student(batch.images))
    assert {t: int(term.count) for t, term in terms.items()} == {"colour": 1, "height": 3}


def test_predictions_of_a_teacher_of_two_tasks() -> None:
    student, teacher, batch = tiny.student().eval(), multi(weight=2.0), tiny.batch()
    batch.labelled = {"colour": torch.tensor([False, True]), "height": torch.tensor([False, False])}
    distiller = LogitDistiller(student, {"multi": teacher}, EXAMPLE, teach="own")
    distiller.setup(TASKS)
    assert distiller.teaches() == {"multi/colour": ("colour",), "multi/height": ("height",)}
    assert distiller.counts(batch) == {"multi/colour": 1, "multi/height": 1}
    assert distiller.predicts_unlabelled  # height, of an image that has no label of it
    assert not LogitDistiller(student, tiny.teachers(), EXAMPLE, teach="own").predicts_unlabelled
    output = student(batch.images)
    terms = distiller(batch, output)
    taught = teacher.network(batch.images[1:])
    for t, task in TASKS.items():
        loss = task.distillation_loss(output.predictions[t][1:], taught.predictions[t]).mean()
        torch.testing.assert_close(terms[f"multi/{t}"].mean(), 2.0 * loss)
    assert list(distiller.distances()) == ["multi/colour/prediction", "multi/height/prediction"]


def test_parts_of_a_sum_distil_from_some_teachers_each() -> None:
    teachers = {**tiny.teachers(), "dino": Teacher("dino", tiny.Tiny({}), ())}
    parts = [
        lambda *given: FeatureDistiller(*given, SAME),
        lambda *given: LogitDistiller(*given, only=["colour", "height"]),
    ]
    student, batch = tiny.student().eval(), tiny.batch()
    distiller = SumDistiller(student, teachers, EXAMPLE, parts)
    distiller.setup(TASKS)
    terms = distiller(batch, student(batch.images))
    assert set(terms) == set(distiller.counts(batch)) == set(distiller.teaches()) == {"colour", "height", "dino"}
    d = distiller.distances()
    torch.testing.assert_close(terms["dino"].mean(), d["dino/bottleneck"] + d["dino/last"])
    torch.testing.assert_close(
        terms["height"].mean(), d["height/bottleneck"] + d["height/last"] + d["height/prediction"]
    )


@pytest.mark.parametrize("per_task", [False, True])
def test_statistics_are_estimated_on_the_images_that_each_teacher_sees(per_task: bool) -> None:
    teachers = {"multi": multi(per_task), "colour": tiny.teachers()["colour"]}
    _, distiller = build(teachers, per_task, standardise=True, teach="own")
    asked: list[Any] = []

    def images(tasks: tuple[str, ...] | None) -> list[torch.Tensor]:
        asked.append(tasks)
        return [tiny.batch(seed=len(tasks or ())).images]

    distiller.calibrate(images)
    assert asked == [("colour", "height"), ("colour",)]
    taps = teachers["multi"].network(tiny.batch(seed=2).images).taps
    for term, task in [("multi/colour", "colour"), ("multi/height", "height")] if per_task else [("multi", "")]:
        feature = taps["last"][task] if per_task else taps["last"]
        mean = distiller.standardise[term]["last"].mean
        torch.testing.assert_close(mean, feature.mean((0, 2, 3)))
    build(teachers, per_task, standardise=True)[1].calibrate(images)
    assert asked[2:] == [None]  # once for both, which see the same images


def test_statistics_take_one_pass_per_network_and_batch() -> None:
    net = tiny.student(seed=5)
    teachers = {t: Teacher(t, net, (t,)) for t in TASKS} | {"other": Teacher("other", tiny.Tiny({}), ())}
    _, distiller = build(teachers, standardise=True)
    passes: list[tuple[str, int]] = []
    for name, network in (("net", net), ("other", teachers["other"].network)):
        network.register_forward_pre_hook(lambda _, args, name=name: passes.append((name, len(args[0]))))
    decoded: list[int] = []

    def images(tasks: tuple[str, ...] | None) -> Iterator[torch.Tensor]:
        for size in (1, 2, 3):
            decoded.append(size)
            yield tiny.batch(seed=size, size=size).images

    distiller.calibrate(images)
    assert decoded == [1, 2, 3]
    assert passes == [("net", 1), ("other", 1), ("net", 2), ("other", 2), ("net", 3), ("other", 3)]

    batches = torch.cat([tiny.batch(seed=size, size=size).images for size in (1, 2, 3)])
    for name in teachers:
        for tap, feature in teachers[name].network(batches).taps.items():
            statistics = distiller.standardise[name][tap]
            torch.testing.assert_close(statistics.mean, feature.mean((0, 2, 3)))
            variance = feature.var((0, 2, 3), correction=0)
            varies = variance > 1e-6 * variance.max()  # a dead channel is only shifted
            torch.testing.assert_close(statistics.std, torch.where(varies, variance, 1.0).sqrt())
