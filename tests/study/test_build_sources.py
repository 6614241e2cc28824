"""What is built from several sources, and what is looked at before that."""

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from rich.console import Console
from tests.data.plain import Plain
from tests.study.conftest import built

from tutelage.data import DataSource, HideLabels, Mix, Rooms
from tutelage.study import Study, StudyConfig, check_data, load_study, plan, read_values
from tutelage.study.build import example, some_images
from tutelage.train import Streams
from tutelage.types import Teach

CPU = torch.device("cpu")
SIZE = (32, 48)
OWN = ("--method.kd4mtl.distiller.teach", "own")


def study(data: DataSource, *flags: str) -> Study:
    """A study of classes and depth on these data; `out` is never written to."""
    small = ["--methods", "uniform,kd4mtl", "--batch-size", "4", "--net.filters", "[4, 4, 4, 4, 4]"]
    tasks = {t: task for t, task in read_values("rooms-tiny")["tasks"].items() if t != "normals"}
    chosen = ["--tasks", json.dumps(tasks), "--method.kd4mtl.distiller.weights", "null"]
    found = load_study("rooms-tiny", [*small, *chosen, *flags])
    own = found.build

    class Builder:
        """Builds the study with these data."""

        def __call__(self, values: Mapping[str, Any]) -> StudyConfig:
            return replace(own(values), data=data)

        def fingerprint(self, objects: StudyConfig) -> str:
            return objects.data.fingerprint()

    return Study(found.values, Builder())


def partial() -> Mix:
    """One image has no label at all and two more have no depth; the other source is of another task alone."""
    one = Plain(12, size=SIZE, lacks={"depth": [0, 3, 4], "segmentation": [3]})
    return Mix({"one": one, "two": Plain(8, size=(40, 32), tasks=["normals"])})


def images(found: Streams) -> dict[str, list[int]]:
    return {s.name: [s.index(i) for i in range(len(s))] for s in found.streams}


@pytest.mark.parametrize("own", [False, True])
def test_a_run_trains_on_images_with_its_labels_and_where_its_teachers_speak_about_all_on_all(own: bool) -> None:
    found = study(partial(), *(OWN if own else ()))
    seen = {spec.label: images(built(found, spec, trained=False)[1]) for spec in plan(found.values)}
    with_any = {"one": [i for i in range(12) if i != 3]}
    assert seen == {
        "single segmentation, seed 0": with_any,
        "single depth, seed 0": {"one": [1, 2, 5, 6, 7, 8, 9, 10, 11]},
        "uniform, seed 0": with_any,
        "kd4mtl, seed 0": with_any if own else {"one": list(range(12)), "two": list(range(8))},
    }


def test_too_few_images_of_a_source_are_one_line_before_training() -> None:
    found = study(Mix({"one": Plain(40, size=SIZE), "few": Plain(1, size=SIZE)}, {"few": 1.0}))
    uniform = next(spec for spec in plan(found.values) if spec.method == "uniform")
    with pytest.raises(
        ValueError, match=r"^train.batch_size: expected at most the 1 training images of `few`, found 2"
    ):
        built(found, uniform, trained=False)


def test_the_example_has_a_label_of_one_of_the_tasks() -> None:
    data = partial()
    samples = {name: source.split("train") for name, source in data.sources.items()}
    assert torch.equal(example(data, ["depth"], CPU), samples["one"][1]["image"][None])
    assert torch.equal(example(data, ["normals", "depth"], CPU), samples["one"][1]["image"][None])
    assert torch.equal(example(data, ["normals"], CPU), samples["two"][0]["image"][None])


@pytest.mark.parametrize("teach", ["own", "all"])
def test_some_images_are_of_every_source_that_the_teacher_sees_from_end_to_end(teach: Teach) -> None:
    one = Plain(130, size=(2, 2), lacks={"depth": [0, 3]})
    two = Plain(10, size=(3, 1), tasks=["depth"], seed=1, lacks={"depth": [4]})
    three = Plain(2, size=(1, 1), tasks=["normals"])
    found = list(some_images(Mix({"one": one, "two": two, "three": three}), None if teach == "all" else ["depth"], CPU))
    chosen = [[i for i in range(130) if i not in (0, 3)][::2], [i for i in range(10) if i != 4], []]
    if teach == "all":
        chosen = [[i * 130 // 64 for i in range(64)], list(range(10)), [0, 1]]
    expected = [
        s.split("train")[i]["image"] for s, indices in zip((one, two, three), chosen, strict=True) for i in indices
    ]
    images = [image for batch in found for image in batch]
    assert len(images) == len(expected)
    assert all(torch.equal(image, other) for image, other in zip(images, expected, strict=True))
    assert [len(batch) for batch in found] == [8] * 8 + ([8, 2, 2] if teach == "all" else [8, 1])


def test_one_batch_of_some_images_is_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Plain(20, size=(2, 2))
    samples, read = type(source.split("train")), list[int]()
    original = samples.__getitem__

    def noted(self: Any, index: int) -> Any:
        read.append(index)
        return original(self, index)

    batches = some_images(source, None, CPU, count=20, size=4)
    monkeypatch.setattr(samples, "__getitem__", noted)
    next(batches)
    before = len(read)
    next(batches)
    assert len(read) == before + 4


def check(found: Study) -> None:
    check_data(found, Console(file=io.StringIO()), write=False)


def test_every_source_is_looked_at_and_tried_on_the_network_at_its_own_sizes() -> None:
    data = Mix({"one": Plain(5, 2, SIZE), "two": Plain(3, 4, (40, 32), tasks=["depth"])})
    check(study(data))
    assert [sorted(source.read) for source in data.sources.values()] == [
        [("test", i) for i in range(2)] + [("train", i) for i in range(5)],
        [("test", i) for i in range(4)] + [("train", i) for i in range(3)],
    ]
    with pytest.raises(ValueError, match=r"^SegNet: expected images of at least 32x32, found \(40, 16\)"):
        check(study(Mix({**data.sources, "two": Plain(3, 4, (40, 16), tasks=["depth"])})))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": 0}, r"^data: expected samples for train of `two`, found none; add some$"),
        ({"test": 0}, r"^data: expected samples for test of `two`, found none; add some$"),
        ({"blank": {"depth": [0, 1, 2]}}, r"^plain: train image 0: expected a value for `depth` .*, found none in 3 "),
        (
            {"lacks": {"depth": [0, 1]}, "train": 2},
            r"^tasks.depth: expected a value for `depth` .* in train, found none",
        ),
    ],
)
def test_what_is_missing_in_all_sources_together_is_one_line(changes: dict, message: str) -> None:
    two = Plain(**{"train": 3, "test": 4, "size": (40, 32), "tasks": ["depth"], **changes})
    with pytest.raises(ValueError, match=message) as error:
        check(study(Mix({"one": Plain(5, 2, SIZE, tasks=["segmentation"]), "two": two})))
    assert "\n" not in str(error.value)


def test_a_label_that_one_source_has_may_be_missing_in_another() -> None:
    check(study(Mix({"one": Plain(5, 2, SIZE), "two": Plain(3, 4, SIZE, lacks={"depth": [0, 1, 2, 3]})})))


def test_a_source_that_is_trusted_may_have_its_labels_in_images_that_are_not_looked_at() -> None:
    rooms = HideLabels(Rooms(train=40, test=8, size=SIZE), {"depth": 0.1}, seed=2)
    assert not any("depth" in rooms.split("train")[i]["labels"] for i in range(8))
    check(study(Mix({"rooms": rooms, "own": Plain(5, 2, SIZE, tasks=["segmentation"])})))
