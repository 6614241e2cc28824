"""A method whose teacher is the student of another method."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from tests.study.conftest import Notes, overlaid, tiny

from tutelage.study import Study, plan, run_study
from tutelage.study.teachers import load_teacher, load_tensors

TWO_ROUNDS = """
methods: [again, born-again, uniform]
method: {again: {base: born-again, taught_by: born-again}}
"""


def rounds(out: Path, text: str = TWO_ROUNDS) -> Study:
    return overlaid(out, text)


def test_every_round_needs_the_one_before(tmp_path: Path) -> None:
    specs = {spec.method: spec for spec in plan(rounds(tmp_path / "out").values) if spec.task is None}
    assert specs["again"].needs == ("born-again/seed0",)
    assert specs["born-again"].needs == ("uniform/seed0",)
    (teacher,) = specs["again"].teachers
    assert (teacher.name, teacher.tasks) == ("born-again", ("segmentation", "depth", "normals"))
    assert specs["born-again"].config["teachers"] == {}


def test_a_finished_student_teaches(finished: tuple[Path, list[dict], Notes], tmp_path: Path) -> None:
    """With what the session's study has trained."""
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    study = tiny(out, "--methods", "uniform,born-again")
    spec = next(spec for spec in plan(study.values) if spec.method == "born-again")
    net = load_teacher(spec, spec.teachers[0], study.build(spec.config), out)
    expected = load_tensors(out / "uniform/seed0/student.safetensors")
    assert all((net.state_dict()[name] == x).all() for name, x in expected.items())
    rows = run_study(study, Notes())
    assert {row["method"] for row in rows} >= {"single", "uniform", "born-again"}
    assert "teacher" not in {row["method"] for row in rows}  # the table has no row for it
    assert run_study(study, Notes()) == rows  # nothing is mixed up when it is called again
    config = out / "born-again/seed0/config.yaml"
    values = yaml.safe_load(config.read_text())
    del values["method"]["born-again"]["teachers"]  # as a version wrote it that did not have this key
    values["train"]["precision"] = "auto"
    config.write_text(yaml.safe_dump(values))
    assert run_study(study, Notes()) == rows


TOGETHER = """
methods: [uniform, together]
method:
  together:
    taught_by: [teachers, uniform]
    balancer: {class_path: tutelage.balance.ScaleInvariant, init_args: {balance: task+distill}}
    distiller: {class_path: tutelage.distill.LogitDistiller, init_args: {mirror: true}}
"""


def test_students_and_the_teachers_of_the_study_teach_together(
    finished: tuple[Path, list[dict], Notes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    study = rounds(out, TOGETHER)
    spec = next(spec for spec in plan(study.values) if spec.method == "together")
    tasks = ("segmentation", "depth", "normals")
    assert spec.needs == (*(f"single/{t}/seed0" for t in tasks), "uniform/seed0")
    assert {t.name: t.tasks for t in spec.teachers} == {**{t: (t,) for t in tasks}, "uniform": tasks}
    rows = run_study(study, Notes())
    assert {row["method"] for row in rows} >= {"single", "uniform", "together"}
    log = json.loads((out / "together/seed0/log.jsonl").read_text().splitlines()[0])
    names = {name.removeprefix("distill/") for name in log if name.startswith("distill/")}
    assert names == {*tasks, *(f"uniform/{t}" for t in tasks)}


def test_teachers_of_another_kind_are_trained_for_a_method_that_names_them(tmp_path: Path) -> None:
    larger = "teacher_net: {class_path: tutelage.nets.SegNet, init_args: {width: 0.2}}\n"
    study = rounds(tmp_path / "out", larger + TOGETHER)
    specs = {spec.id: spec for spec in plan(study.values)}
    assert specs["together/seed0"].needs[:3] == tuple(f"teacher/{t}/seed0" for t in study.objects.tasks)
    assert specs["together/seed0"].config["teacher_net"]
    without = rounds(tmp_path / "other", larger + TOGETHER.replace("[teachers, uniform]", "[uniform]"))
    specs = {spec.id: spec for spec in plan(without.values)}
    assert specs["together/seed0"].needs == ("uniform/seed0",)
    assert not any(name.startswith("teacher/") for name in specs)


NAMES = "method.a.taught_by: expected the name of a method, or several in a list, found `"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods: [a]\nmethod: {a: {base: born-again, taught_by: [[uniform]]}}", NAMES + r"\[\['uniform'\]\]`"),
        ("methods: [a]\nmethod: {a: {base: born-again, taught_by: 3}}", NAMES + "3`"),
        ("methods: [a]\nmethod: 5", r"method: expected names and values of methods, found `5`"),
        (
            "methods: [teachers]\nmethod: {teachers: {base: uniform}}",
            r"methods: expected names among .*found `teachers`",
        ),
        (
            "methods: [uniform, a]\nmethod: {a: {base: born-again, taught_by: unifrm}}",
            r"method.a.taught_by: .*found `unifrm`; did you mean `uniform`\?",
        ),
        (
            TOGETHER.replace("[teachers, uniform]", "[single, uniform]"),
            r"method.together.taught_by: expected another of .* found `single`; for the networks that teach in this "
            "study write `teachers`",
        ),
        (
            "methods: [uniform, a, b]\nmethod: {a: {base: born-again, taught_by: [uniform, b]}, b: {base: born-again, "
            "taught_by: a}}",
            r"method.a.taught_by: expected another of the study's methods .* that it does not teach itself, found `a`",
        ),
        (
            "methods: [depth, a]\n"
            "method: {depth: {base: uniform}, a: {base: born-again, taught_by: [teachers, depth]}}",
            r"method.a.taught_by: expected methods with other names than those of the study's teachers, found `depth`",
        ),
        (
            "methods: [a]\nmethod: {a: {base: born-again, taught_by: nobody}}",
            r"method.a.taught_by: expected another of .* \(none\).*add `nobody` to `methods`, or name another",
        ),
        (
            "methods: [a, b]\nmethod: {a: {base: born-again, taught_by: b}, b: {base: born-again, taught_by: a}}",
            r"method.a.taught_by: expected another of the study's methods .* that it does not teach itself, found `a`",
        ),
        (
            "methods: [uniform, a]\nmethod: {a: {base: born-again, teachers: random}}",
            r"method.a.taught_by: expected a method with a `distiller` and `teachers: trained`",
        ),
    ],
    ids=[
        "a list in a list",
        "a mapping",
        "a number of methods",
        "a name of its own",
        "near",
        "single",
        "in a circle of several",
        "a name twice",
        "alone",
        "in a circle",
        "random",
    ],
)
def test_what_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        rounds(tmp_path / "out", text)


@pytest.mark.parametrize(
    ("flags", "selected", "added"),
    [
        (["--methods", "single,noisy-student"], ["single", "scale-invariant", "noisy-student"], ["scale-invariant"]),
        (["--methods", "[third]"], ["scale-invariant", "noisy-student", "third"], ["scale-invariant", "noisy-student"]),
        (["--methods", "noisy-student,scale-invariant"], ["noisy-student", "scale-invariant"], []),
        ([], ["uniform", "born-again"], ["uniform"]),
        (["--method.born-again.taught_by", "kd4mtl"], ["kd4mtl", "born-again"], ["kd4mtl"]),
        (["--methods", "a,born-again", "--method.born-again.taught_by", "[teachers, a]"], ["a", "born-again"], []),
    ],
)
def test_methods_whose_students_teach_are_added(
    flags: list[str], selected: list[str], added: list[str], tmp_path: Path
) -> None:
    text = (
        "methods: [born-again]\nmethod: {third: {base: noisy-student, taught_by: noisy-student}, a: {base: uniform}}\n"
    )
    study = overlaid(tmp_path / "out", text, *flags)
    assert study.methods == selected
    assert [note for note in study.notes if note.startswith("methods: ")] == [
        f"methods: `{name}` is added, since its student teaches another method" for name in added
    ]
    assert {spec.method for spec in plan(study.values)} == {"single", *selected}


def test_the_flags_of_a_method_that_is_added_count(tmp_path: Path) -> None:
    study = tiny(tmp_path / "out", "--methods", "noisy-student", "--method.scale-invariant.lr", "0.5")
    assert study.values["method"]["scale-invariant"]["lr"] == 0.5
