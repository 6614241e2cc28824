"""What is refused of a teacher, in one line each."""

import math
from typing import Any

import pytest
import torch
from tests.distill import tiny

from tutelage.distill import FeatureDistiller, LogitDistiller, SumDistiller, Teacher, Teachers
from tutelage.errors import UserError
from tutelage.tasks import Depth, Segmentation
from tutelage.types import Output, Task

TASKS: dict[str, Task] = {"colour": Segmentation(classes=3), "height": Depth()}
EXAMPLE = torch.zeros(1, 3, 4, 6)
MATCH = {"last": "last"}


def features_of(teachers: Any, per_task: bool = False, **kwargs: Any) -> FeatureDistiller:
    return FeatureDistiller(tiny.student(per_task=per_task), teachers, EXAMPLE, **{"match": MATCH} | kwargs)


def dino(**kwargs: Any) -> Teacher:
    return Teacher("dino", tiny.Tiny({}), (), **kwargs)


def test_a_network_alone_teaches_the_task_that_it_stands_under() -> None:
    nets = tiny.teachers()
    named = Teachers(nets).named
    assert {name: (teacher.network, teacher.tasks) for name, teacher in named.items()} == {
        t: (net, (t,)) for t, net in nets.items()
    }


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        ({"tasks": ("height", "height")}, r"teachers.x.tasks: expected each task once, found height, height"),
        ({"tasks": (), "sees": "own"}, r"teachers.x.sees: expected `all` for a teacher without tasks, found `own`"),
        ({"tasks": (), "match": {}}, r"teachers.x.match: expected \{student's tap: teacher's tap\}, found none"),
        ({"tasks": ("height",), "sees": "mine"}, r"teachers.x.sees: expected one of own, all, found `mine`"),
        ({"tasks": (), "weight": -1.0}, r"teachers.x.weight: expected a number of at least 0, found -1.0"),
        ({"tasks": (), "weight": math.nan}, r"teachers.x.weight: expected a number of at least 0, found nan"),
        ({"tasks": (), "weight": math.inf}, r"teachers.x.weight: expected a number of at least 0, found inf"),
    ],
)
def test_of_itself(kwargs: Any, line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        Teacher("x", tiny.student(), **kwargs)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a/b", "a.b", ""])
def test_its_name_is_no_path(name: str) -> None:
    with pytest.raises(UserError, match=rf"teachers.{name}: expected a name without `/` and `.`, found `{name}`"):
        Teachers({name: Teacher(name, tiny.student(), ())})


@pytest.mark.parametrize("name", ["a/b", "a.b", ""])
def test_the_name_of_a_network_alone_is_no_path(name: str) -> None:
    with pytest.raises(UserError, match=rf"teachers.{name}: expected a name without `/` and `.`, found `{name}`"):
        Teachers({name: tiny.student()})


@pytest.mark.parametrize("name", ["type", "train", "keys", "parameters"])
@pytest.mark.parametrize("alone", [False, True])
def test_its_name_is_none_that_torchs_modules_use(name: str, alone: bool) -> None:
    line = rf"teachers.{name}: expected a name that torch's modules have no other use for, found `{name}`; .* `{name}_`"
    with pytest.raises(UserError, match=line):
        Teachers({name: tiny.student() if alone else Teacher(name, tiny.student(), ())})


def test_its_name_is_its_key() -> None:
    with pytest.raises(UserError, match=r"teachers.vit: expected the teacher of that name, found `dino`"):
        Teachers({"vit": dino()})


@pytest.mark.parametrize(
    ("teacher", "line"),
    [
        (
            Teacher("multi", tiny.student(), ("colour", "hue")),
            r"teachers.multi.tasks: expected tasks of the student \(colour, height\), found `hue`",
        ),
        (
            Teacher("height", tiny.student(), ()),
            r"teachers.height: expected a teacher of `height`, since it has the name of that task, found .* no task",
        ),
        (
            Teacher("height", tiny.student(), ("colour",)),
            r"teachers.height: expected a teacher of `height`, since it has the name of that task, found one of colour",
        ),
    ],
)
def test_tasks_that_are_not_the_students(teacher: Teacher, line: str) -> None:
    distiller = features_of({teacher.name: teacher})
    with pytest.raises(UserError, match=line):
        distiller.setup(TASKS)


def test_tasks_of_predictions_are_the_students() -> None:
    teacher = Teacher("multi", tiny.student(), ("colour", "hue"))
    distiller = LogitDistiller(tiny.student(), {"multi": teacher}, EXAMPLE)
    with pytest.raises(UserError, match=r"teachers.multi.tasks: .* found `hue`"):
        distiller.setup(TASKS)


def test_predictions_of_a_teacher_without_tasks() -> None:
    line = r"LogitDistiller: expected teachers with tasks, whose predictions are distilled, found `dino` without; name"
    with pytest.raises(UserError, match=line):
        LogitDistiller(tiny.student(), {**tiny.teachers(), "dino": dino()}, EXAMPLE)


def test_own_images_of_a_teacher_without_tasks() -> None:
    line = r"teachers.dino.sees: expected `all`, since .*, found `own`, from FeatureDistiller.teach; set it to `all`"
    with pytest.raises(UserError, match=line):
        features_of({"dino": dino()}, teach="own")
    assert features_of({"dino": dino(sees="all")}, teach="own").teach == "all"


def test_a_tap_per_task_and_a_teacher_without_tasks() -> None:
    line = (
        r"{}.match: expected taps that all tasks share for .* `dino`, .*, found `last` with one feature per task; match"
    )
    with pytest.raises(UserError, match=line.format("FeatureDistiller")):
        features_of({"dino": dino()}, per_task=True)
    with pytest.raises(UserError, match=line.format("teachers.dino")):
        features_of({"dino": dino(match=MATCH)}, per_task=True)
    assert features_of({"dino": dino(match={"bottleneck": "last"})}, per_task=True).links["dino"]


def test_a_tap_without_the_teachers_task() -> None:
    teacher = Teacher("x", tiny.Tiny({"colour": 3}, per_task=True), ("height",))
    with pytest.raises(
        UserError, match=r"expected a feature of `height` at the tap `last` of the teacher `x`, found f"
    ):
        features_of({"x": teacher})


def test_unknown_taps_name_the_teacher() -> None:
    line = r"{}.match: expected taps of the {} \(bottleneck, last\), found `neck`"
    with pytest.raises(UserError, match=line.format("teachers.dino", "teacher `dino`")):
        features_of({**tiny.teachers(), "dino": dino(match={"last": "neck"})})
    with pytest.raises(UserError, match=line.format("teachers.dino", "student")):
        features_of({**tiny.teachers(), "dino": dino(match={"neck": "last"})})
    with pytest.raises(UserError, match=line.format("FeatureDistiller", "teacher `colour`")):
        features_of({**tiny.teachers(), "dino": dino(match=MATCH)}, match={"last": "neck"})


def test_a_tap_whose_name_torchs_modules_use() -> None:
    class Tapped(tiny.Tiny):
        def forward(self, *args: Any, **kwargs: Any) -> Output:
            output = super().forward(*args, **kwargs)
            output.taps = {"type": output.taps["last"]}
            return output

    line = r"match: expected taps of the student whose names torch's modules have no other use for, found `type`; ren"
    with pytest.raises(UserError, match=line):
        FeatureDistiller(Tapped(tiny.WIDTHS), tiny.teachers(), EXAMPLE, {"type": "last"})


def test_taps_that_leave_a_teacher_nothing() -> None:
    teachers = {**tiny.teachers(), "dino": dino(match={"bottleneck": "last"})}
    line = (
        r"FeatureDistiller.taps: expected one of the taps that the teacher `dino` is matched to \(bottleneck\), found l"
    )
    with pytest.raises(UserError, match=line):
        features_of(teachers, taps=["last"])


def test_no_match_but_the_teachers_own() -> None:
    assert features_of({"dino": dino(match=MATCH)}, match={}).links["dino"]
    with pytest.raises(UserError, match=r"FeatureDistiller.match: expected .*, found none"):
        features_of({**tiny.teachers(), "dino": dino(match=MATCH)}, match={})


def test_unknown_names_of_teachers() -> None:
    with pytest.raises(
        UserError, match=r"FeatureDistiller.weights: expected names of teachers \(dino\), found `height`"
    ):
        features_of({"dino": dino()}, weights={"height": 1.0})
    with pytest.raises(UserError, match=r"FeatureDistiller.only: expected names of teachers \(dino\), found `vit`"):
        features_of({"dino": dino()}, only=["vit"])


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        ({"weights": {"colour": math.nan}}, r"weights.colour: expected a number of at least 0, found nan"),
        ({"weights": {"colour": -1.0}}, r"weights.colour: expected a number of at least 0, found -1.0"),
        ({"scale": math.inf}, r"scale: expected a number of at least 0, found inf"),
    ],
)
def test_factors_that_are_none(kwargs: Any, line: str) -> None:
    with pytest.raises(UserError, match=f"FeatureDistiller.{line}"):
        features_of(tiny.teachers(), **kwargs)
    with pytest.raises(UserError, match=f"LogitDistiller.{line}"):
        LogitDistiller(tiny.student(), tiny.teachers(), EXAMPLE, **kwargs)


def test_parts_of_a_sum_that_see_different_images() -> None:
    parts = [
        lambda student, teachers, example: FeatureDistiller(student, teachers, example, MATCH),
        lambda student, teachers, example: LogitDistiller(student, teachers, example, teach="own"),
    ]
    line = r"SumDistiller.parts: expected one `teach` for all parts, .*, found `all` and `own` for the teacher `colour`"
    with pytest.raises(UserError, match=line):
        SumDistiller(tiny.student(), tiny.teachers(), EXAMPLE, parts)
