import json
import shutil
from pathlib import Path

import pytest
import yaml
from tests.report.folder import TASKS, log, specify, write

from tutelage.errors import UserError
from tutelage.report.results import Results


def test_methods_and_seeds(tmp_path: Path) -> None:
    results = Results(write(tmp_path, seeds=(2, 0)), TASKS)
    assert results.methods == ["single", "uniform", "kd4mtl"]
    assert results.multi_task == ["uniform", "kd4mtl"]
    assert results.seeds == [0, 2]
    assert [row.seed for row in results.of("kd4mtl", "image")] == [2, 0]
    assert results.run("single", "depth") == tmp_path / "single/depth/seed0"
    assert results.run("kd4mtl", "depth") == tmp_path / "kd4mtl/seed0"


def test_some_of_the_seeds(tmp_path: Path) -> None:
    write(tmp_path, seeds=(0, 1, 2))
    assert Results(tmp_path, TASKS, seeds=[2, 1]).run("kd4mtl", "depth") == tmp_path / "kd4mtl/seed1"
    with pytest.raises(UserError, match=r"--seeds: expected seeds with results in .*, found none of \[7\]"):
        Results(tmp_path, TASKS, seeds=[7])


def test_the_protocol_of_the_first_table_comes_first(tmp_path: Path) -> None:
    write(tmp_path)
    assert Results(tmp_path, TASKS).protocols == ["dataset", "image"]
    (tmp_path / "study.yaml").write_text("train: {official_quirks: true}\n")
    assert Results(tmp_path, TASKS).protocols == ["image", "dataset"]


def test_a_damaged_config_of_one_seed_leaves_what_the_others_say(tmp_path: Path) -> None:
    write(tmp_path, seeds=(0, 1))
    (tmp_path / "kd4mtl/seed0/config.yaml").write_bytes(b"\xff")
    assert Results(tmp_path, TASKS).about("kd4mtl") == "about kd4mtl"


def test_teachers_of_all_methods_in_the_order_of_the_tasks(tmp_path: Path) -> None:
    write(tmp_path)
    specify(tmp_path, "uniform", {})
    specify(
        tmp_path,
        "kd4mtl",
        {
            "dino": {"tasks": [], "kind": "features", "run": None},
            "depth": {"tasks": ["depth"], "kind": "single", "run": "single/depth/seed0"},
            "segmentation": {"tasks": ["segmentation"], "kind": "teacher", "run": "teacher/segmentation/seed0"},
        },
    )
    results = Results(tmp_path, TASKS)
    assert list(results.teachers) == ["segmentation", "depth", "dino"]
    assert results.run("teacher", "segmentation") == tmp_path / "teacher/segmentation/seed0"
    assert results.run("teacher", "depth") == tmp_path / "single/depth/seed0"


def test_the_runs_of_a_teacher_follow_the_seed(tmp_path: Path) -> None:
    write(tmp_path, seeds=(0, 1))
    for seed in (0, 1):
        teacher = {"tasks": ["depth"], "kind": "teacher", "run": f"teacher/indoor/seed{seed}"}
        specify(tmp_path, "kd4mtl", {"indoor": teacher}, seed)
    assert Results(tmp_path, TASKS).run("teacher", "depth") == tmp_path / "teacher/indoor/seed0"
    results = Results(tmp_path, TASKS, seeds=[1])
    assert results.run("teacher", "depth") == tmp_path / "teacher/indoor/seed1"
    assert results.run("teacher", "segmentation") is None
    assert results.log("teacher", "segmentation") == []


def test_the_student_of_another_method_is_no_teacher_of_the_study(tmp_path: Path) -> None:
    write(tmp_path, ["uniform", "last"], seeds=[0])
    student = {"tasks": list(TASKS), "kind": "student", "run": "uniform/seed0"}
    specify(tmp_path, "last", {"uniform": student})
    assert Results(tmp_path, TASKS).run("teacher", "depth") is None
    teacher = {"tasks": ["depth"], "kind": "teacher", "run": "teacher/indoor/seed0"}
    specify(tmp_path, "last", {"uniform": student, "indoor": teacher})
    assert Results(tmp_path, TASKS).run("teacher", "depth") == tmp_path / "teacher/indoor/seed0"


def test_an_old_folder_has_the_teachers_of_the_method_that_distils(tmp_path: Path) -> None:
    """A later call with other methods wrote a config without a teacher_net."""
    write(tmp_path)
    path = tmp_path / "kd4mtl/seed0/config.yaml"
    config = yaml.safe_load(path.read_text())
    config["teacher_net"] = {"depth": {"class_path": "tutelage.nets.SegNet"}}
    path.write_text(yaml.safe_dump(config))
    kinds = {name: teacher.kind for name, teacher in Results(tmp_path, TASKS).teachers.items()}
    assert kinds == {"segmentation": "single", "depth": "teacher"}


def test_without_a_run_that_distils_the_single_task_networks_are_the_teachers(tmp_path: Path) -> None:
    results = Results(write(tmp_path, methods=["uniform"]), TASKS)
    assert {teacher.kind for teacher in results.teachers.values()} == {"single"}
    assert results.run("teacher", "depth") == tmp_path / "single/depth/seed0"


def test_a_teacher_that_only_a_log_names_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    log(tmp_path, "kd4mtl/seed0", {"epoch": 2, "distance/dino/last": 1.0})
    assert Results(tmp_path, TASKS).teacher_names == ["segmentation", "depth", "dino"]


def test_nothing_of_the_machine_that_trained_is_needed(tmp_path: Path) -> None:
    """No network is built, and a file of a teacher may have moved."""
    folder = write(tmp_path / "runs")
    for path in folder.rglob("config.yaml"):
        config = yaml.safe_load(path.read_text())
        config |= {"net": {"class_path": "gone.Net"}, "train": {"accelerator": "cuda"}, "teachers": {"depth": "/gone"}}
        path.write_text(yaml.safe_dump(config))
        (path.parent / "student.safetensors").unlink(missing_ok=True)
    shutil.move(folder, tmp_path / "moved")
    results = Results(tmp_path / "moved", TASKS)
    assert results.run("kd4mtl", "depth") == tmp_path / "moved/kd4mtl/seed0"
    assert set(results.teachers) == set(TASKS)
    assert json.loads((tmp_path / "moved/results.json").read_text())["study"] == results.study
