"""Teachers with names: of several tasks, of none, several for one task."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.study.conftest import Notes, built, overlaid
from tests.train.fixture import assert_same

from tutelage.nets import SegNet, TappedModule
from tutelage.report import write_report
from tutelage.study import Study, load_study, plan, run_study
from tutelage.study.teachers import build_teachers, load_tensors
from tutelage.train import save_safetensors

BACKBONE = """{class_path: tutelage.nets.TappedModule, init_args: {
    module: {class_path: timm.create_model, init_args: {model_name: test_resnet, num_classes: 0}},
    taps: {bottleneck: layer4, last: layer1}, size: [64, 64]}}"""
SMALL = "{class_path: tutelage.nets.SegNet, init_args: {filters: [8, 8, 16, 16, 16]}}"
# Two tasks share a teacher, depth has a second one, and a backbone teaches no task in particular.
NAMED = f"""
methods: [kd4mtl]
method: {{kd4mtl: {{distiller: {{init_args: {{weights: {{pair: 2.0}}}}}}}}}}
teachers:
  pair: {{tasks: [depth, normals]}}
  deep: {{tasks: [depth], net: {SMALL}, match: {{bottleneck: bottleneck}}, sees: own, weight: 0.5}}
  backbone: {{tasks: [], net: {BACKBONE}}}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, list[dict], Notes]:
    out, notes = tmp_path_factory.mktemp("named") / "runs", Notes()
    loaded = overlaid(out, NAMED)
    return loaded, run_study(loaded, notes), notes


def test_the_study_trains_those_that_it_names(trained: tuple) -> None:
    _, _, notes = trained
    names = [name.removesuffix(", seed 0") for name, _ in notes.started]
    singles = ["single segmentation", "single depth", "single normals"]
    assert names == [*singles, "teacher pair", "teacher deep", "kd4mtl"]


def test_the_student_learns_from_all_of_them(trained: tuple) -> None:
    loaded, _, _ = trained
    spec = plan(loaded.values)[-1]
    run, _ = built(loaded, spec)
    teachers = run.distiller.teachers.named
    assert {name: teacher.tasks for name, teacher in teachers.items()} == {
        "segmentation": ("segmentation",), "pair": ("depth", "normals"), "deep": ("depth",), "backbone": (),
    }  # fmt: skip
    for name, kind in (("segmentation", "single"), ("pair", "teacher"), ("deep", "teacher")):
        weights = load_tensors(loaded.folder / kind / name / "seed0/student.safetensors")
        assert_same(teachers[name].network.state_dict(), weights)
    assert isinstance(teachers["backbone"].network, TappedModule)
    assert isinstance(teachers["pair"].network, SegNet)
    deep = teachers["deep"]
    assert (deep.match, deep.sees, deep.weight) == ({"bottleneck": "bottleneck"}, "own", 0.5)
    log = [json.loads(line) for line in (loaded.folder / spec.id / "log.jsonl").read_text().splitlines()]
    distances = {key.removeprefix("distance/") for line in log for key in line if key.startswith("distance/")}
    both = {f"{name}/{tap}" for name in ("segmentation", "pair", "backbone") for tap in ("bottleneck", "last")}
    assert distances == {*both, "deep/bottleneck"}


def test_a_teacher_of_several_tasks_begins_elsewhere_than_the_student(trained: tuple) -> None:
    loaded, _, _ = trained
    specs = {spec.id: spec for spec in plan(loaded.values)}
    pair, student = (
        built(loaded, specs[run], trained=False)[0].student for run in ("teacher/pair/seed0", "kd4mtl/seed0")
    )
    shared = pair.state_dict().keys() & student.state_dict().keys()
    assert not any(
        torch.equal(pair.state_dict()[name], student.state_dict()[name]) for name in shared if "conv" in name
    )


def test_the_row_of_the_teachers_takes_each_task_from_the_first_that_teaches_it(trained: tuple) -> None:
    loaded, rows, _ = trained
    row = next(row for row in rows if row["method"] == "teacher" and row["protocol"] == "dataset")
    results = {
        run: json.loads((loaded.folder / run / "seed0/result.json").read_text())
        for run in ("single/segmentation", "teacher/pair")
    }
    assert row["metrics"]["segmentation"] == results["single/segmentation"]["metrics"]["dataset"]["segmentation"]
    assert row["metrics"]["depth"] == results["teacher/pair"]["metrics"]["dataset"]["depth"]
    assert row["metrics"]["normals"] == results["teacher/pair"]["metrics"]["dataset"]["normals"]
    assert row["parameters"] == sum(result["parameters"] for result in results.values())  # the pair counts once


def test_the_page_names_them(trained: tuple) -> None:
    loaded, _, _ = trained
    page = write_report(loaded.folder, loaded.objects.tasks).read_text()
    assert "pair" in page
    assert "backbone" in page


def test_nothing_is_repeated_and_other_teachers_are_refused(trained: tuple) -> None:
    loaded, rows, _ = trained
    notes = Notes()
    assert run_study(overlaid(loaded.folder, NAMED), notes) == rows
    assert notes.started == []
    for change, line in (
        ("[depth, normals]", r"teacher/pair/seed0: expected the config .*tasks\.segmentation"),
        ("weight: 0.5", r"kd4mtl/seed0: expected the config .*teachers\.deep\.weight = 0\.5"),
    ):
        text = NAMED.replace(
            change, {"[depth, normals]": "[depth, normals, segmentation]", "weight: 0.5": "weight: 2"}[change]
        )
        with pytest.raises(ValueError, match=line):
            run_study(overlaid(loaded.folder, text, *(["--methods", "kd4mtl"] if "weight" in change else [])), Notes())


def test_its_config_is_a_study_with_the_same_teachers(trained: tuple) -> None:
    loaded, _, _ = trained
    again = load_study(loaded.folder / "kd4mtl/seed0/config.yaml")
    assert plan(again.values)[-1].teachers == plan(loaded.values)[-1].teachers
    alone = load_study(loaded.folder / "teacher/pair/seed0/config.yaml")
    assert list(alone.objects.tasks) == ["depth", "normals"]


def test_a_file_for_several_tasks(trained: tuple, singles: Path) -> None:
    file = trained[0].folder / "teacher/pair/seed0/student.safetensors"
    text = f"methods: [kd4mtl]\nteachers: {{both: {{tasks: [depth, normals], file: {file}}}}}"
    loaded = overlaid(singles, text)
    run_study(loaded, Notes())
    result = json.loads((loaded.folder / "teacher/both/seed0/result.json").read_text())
    assert result["steps"] == 0
    assert set(result["metrics"]["dataset"]) == {"depth", "normals"}
    assert_same(load_tensors(loaded.folder / "teacher/both/seed0/student.safetensors"), load_tensors(file))
    facts = json.loads((loaded.folder / "teacher/both/seed0/environment.json").read_text())
    assert set(facts["networks"]) == {"both"}


@pytest.mark.parametrize(
    ("teachers", "line"),
    [
        (
            "{pair: {tasks: [depth, height]}}",
            r"teachers\.pair\.tasks: expected some of the study's tasks, .*; found `height`",
        ),
        ("{pair: {tasks: [depth, depth]}}", r"teachers\.pair\.tasks: expected different tasks"),
        (
            "{pair: {weight: 2}}",
            r"teachers\.pair\.tasks: expected what it teaches, some of .*, or \[\] for its features, found none",
        ),
        (
            "{depth: {tasks: [normals]}}",
            r"teachers\.depth: expected a teacher of `depth`, since it has the name of that task",
        ),
        ("{back: {tasks: []}}", r"teachers\.back\.net: expected a network, whose features are to teach, found none"),
        (
            "{pair: {tasks: [depth], file: nowhere.safetensors}}",
            r"teachers\.pair\.file: expected `features` or a file or folder, found none at nowhere",
        ),
        ("{pair: {tasks: [depth], weight: -1}}", r"teachers\.pair\.weight: expected a number of at least 0, found -1"),
        ("{pair: {tusks: [depth]}}", r"teachers.*expected a known key, found `tusks`"),
        ("{a/b: {tasks: [depth]}}", r"teachers: expected names of letters, digits, '_' and '-', found `a/b`"),
        (
            "{keys: {tasks: [depth]}}",
            r"teachers: expected names that torch's modules have no other use for, found `keys`",
        ),
    ],
)
def test_what_is_refused_before_anything_is_built(tmp_path: Path, teachers: str, line: str) -> None:
    with pytest.raises(ValueError, match=line) as error:
        overlaid(tmp_path / "runs", f"methods: [kd4mtl]\nteachers: {teachers}")
    assert "\n" not in str(error.value)


def test_equal_networks_are_one_which_runs_once(tmp_path: Path) -> None:
    # With a fixed file all three have equal weights, whatever seed they are drawn with.
    weights = tmp_path / "backbone.safetensors"
    first = overlaid(tmp_path / "first", f"methods: [kd4mtl]\nteachers: {{backbone: {{tasks: [], net: {BACKBONE}}}}}")
    save_safetensors(weights, first.objects.teachers["backbone"].net({}).state_dict())
    one = f"{{tasks: [], net: {BACKBONE}, file: {weights}}}"
    loaded = overlaid(
        tmp_path / "runs", f"methods: [kd4mtl]\nteachers: {{a: {one}, b: {one}, c: {{tasks: [], net: {BACKBONE}}}}}"
    )
    spec = next(spec for spec in plan(loaded.values) if spec.teachers)
    features = replace(spec, teachers=tuple(teacher for teacher in spec.teachers if not teacher.tasks))
    teachers = build_teachers(features, loaded.build(spec.config), loaded.folder, True, torch.device("cpu"))
    assert teachers["a"].network is teachers["b"].network
    assert teachers["a"].network is not teachers["c"].network


def test_the_records_of_an_earlier_version_are_completed(trained: tuple) -> None:
    loaded, rows, _ = trained
    for path in loaded.folder.glob("**/spec.json"):
        path.unlink()
    assert run_study(overlaid(loaded.folder, NAMED), Notes()) == rows  # with the row of the teachers
    assert (loaded.folder / "teacher/pair/seed0/spec.json").exists()


def test_a_file_does_not_take_the_place_of_a_teacher_that_was_trained(trained: tuple, tmp_path: Path) -> None:
    loaded, _, _ = trained
    file = tmp_path / "pair.safetensors"
    shutil.copy(loaded.folder / "teacher/pair/seed0/student.safetensors", file)
    text = NAMED.replace("tasks: [depth, normals]}", f"tasks: [depth, normals], file: {file}}}")
    with pytest.raises(
        ValueError, match=r"teacher/pair/seed0: expected the config .*teachers\.pair\.file = None; found"
    ):
        run_study(overlaid(loaded.folder, text), Notes())
