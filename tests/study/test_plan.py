"""What a study trains: decided once, before anything is built."""

import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
import yaml
from tests.study.conftest import tiny

from tutelage.study import RunSpec, load_study, plan

SMALL = "{class_path: tutelage.nets.SegNet, init_args: {filters: [8, 8, 16, 16, 16]}}"


def specs(out: Path, *flags: str) -> dict[str, RunSpec]:
    return {spec.id: spec for spec in plan(tiny(out, *flags).values)}


def test_runs_come_in_the_order_of_their_needs(tmp_path: Path) -> None:
    planned = specs(tmp_path, "--methods", "uniform,kd4mtl", "--seeds", "0,1")
    of_a_seed = ["single/segmentation", "single/depth", "single/normals", "uniform", "kd4mtl"]
    assert list(planned) == [f"{name}/seed{seed}" for seed in (0, 1) for name in of_a_seed]
    seen: set[str] = set()
    for run, spec in planned.items():
        assert set(spec.needs) <= seen
        seen.add(run)
    assert planned["uniform/seed1"].needs == planned["uniform/seed1"].teachers == ()
    student = planned["kd4mtl/seed1"]
    assert student.needs == ("single/segmentation/seed1", "single/depth/seed1", "single/normals/seed1")
    assert [(t.name, t.tasks, t.kind, t.run) for t in student.teachers] == [
        (name, (name,), "single", f"single/{name}/seed1") for name in ("segmentation", "depth", "normals")
    ]


def test_a_spec_is_frozen_and_travels(tmp_path: Path) -> None:
    spec = specs(tmp_path)["kd4mtl/seed0"]
    assert pickle.loads(pickle.dumps(spec)) == spec
    with pytest.raises(FrozenInstanceError):
        spec.seed = 1


@pytest.mark.parametrize("run", ["single/depth/seed0", "teacher/depth/seed0", "kd4mtl/seed0"])
def test_the_config_of_a_run_is_a_study_with_that_run(tmp_path: Path, run: str) -> None:
    spec = specs(tmp_path / "runs", "--methods", "kd4mtl", "--teacher_net", f"{{depth: {SMALL}}}")[run]
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(dict(spec.config), sort_keys=False))
    again = load_study(file)
    assert again.notes == []
    own = {spec.id: spec for spec in plan(again.values)}[run.replace("teacher", "single")]
    assert own.config["net"] == spec.config["net"]
    assert own.tasks == spec.tasks
    assert [t.kind for t in own.teachers] == [t.kind for t in spec.teachers]


def test_the_record_of_a_spec_says_what_teaches(tmp_path: Path) -> None:
    record = specs(tmp_path, "--methods", "kd4mtl", "--teacher_net", f"{{depth: {SMALL}}}")["kd4mtl/seed0"].record()
    assert record["teachers"] == {
        "segmentation": {"tasks": ["segmentation"], "kind": "single", "run": "single/segmentation/seed0"},
        "depth": {"tasks": ["depth"], "kind": "teacher", "run": "teacher/depth/seed0"},
        "normals": {"tasks": ["normals"], "kind": "single", "run": "single/normals/seed0"},
    }
    assert (record["format"], record["method"], record["values"]) == (1, "kd4mtl", "paper")
    assert record["needs"] == ["single/segmentation/seed0", "teacher/depth/seed0", "single/normals/seed0"]
    assert "config" not in record  # it lies beside it


def test_networks_of_different_roles_begin_differently(tmp_path: Path) -> None:
    multi = "{multi: {tasks: [depth, normals]}}"
    planned = specs(tmp_path, "--methods", "uniform,kd4mtl", "--teachers", multi)
    assert planned["kd4mtl/seed0"].role == planned["uniform/seed0"].role == "student"
    roles = [spec.role for spec in planned.values() if spec.method in ("single", "teacher")]
    assert roles == ["segmentation", "depth", "normals", "teacher multi"]
