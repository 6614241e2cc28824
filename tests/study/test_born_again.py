"""A method whose teacher is the student of another method."""

import shutil
from pathlib import Path

import pytest
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods: [born-again]", r"method.born-again.taught_by: expected another of .* \(none\).*add `uniform` to"),
        (
            "methods: [a, b]\nmethod: {a: {base: born-again, taught_by: b}, b: {base: born-again, taught_by: a}}",
            r"method.a.taught_by: expected another of the study's methods .* that it does not teach itself, found `a`",
        ),
        (
            "methods: [uniform, a]\nmethod: {a: {base: born-again, teachers: random}}",
            r"method.a.taught_by: expected a method with a `distiller` and `teachers: trained`",
        ),
    ],
    ids=["alone", "in a circle", "random"],
)
def test_what_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        rounds(tmp_path / "out", text)
