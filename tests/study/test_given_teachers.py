"""Single-task networks that were trained elsewhere."""

import json
from pathlib import Path

import pytest
import torch
from tests.nets.test_authors import save
from tests.reference import authors_reference
from tests.study.conftest import Notes, tiny
from tests.train.fixture import assert_same

from tutelage.study import run_study
from tutelage.study.teachers import load_tensors

FILTERS = (8, 16, 16, 24, 24)  # of rooms-tiny


def teachers(**files: Path) -> list[str]:
    return ["--teachers", json.dumps({task: str(path) for task, path in files.items()})]


def test_they_are_evaluated_and_taught_from_and_not_trained(finished: tuple, tmp_path: Path) -> None:
    out, rows, _ = finished
    given = {t: out / f"single/{t}/seed0/student.safetensors" for t in ("segmentation", "normals")}
    notes = Notes()
    study = tiny(tmp_path / "runs", "--methods", "kd4mtl", *teachers(**given))
    again = run_study(study, notes)
    assert again == [
        {**row, "seconds": mine["seconds"]}
        for row, mine in zip((r for r in rows if r["method"] in ("single", "kd4mtl")), again, strict=True)
    ]  # the same teachers, the same student
    for task, path in given.items():
        folder = study.folder / f"single/{task}/seed0"
        assert json.loads((folder / "result.json").read_text())["steps"] == 0
        assert_same(load_tensors(folder / "student.safetensors"), load_tensors(path))
    assert json.loads((study.folder / "single/depth/seed0/result.json").read_text())["steps"] > 0


def test_a_checkpoint_of_the_authors_is_a_teacher(tmp_path: Path) -> None:
    state = {
        name: 0.1 * torch.randn(shape) + (1.0 if name.endswith("running_var") else 0.0)
        for name, shape in authors_reference.shapes(FILTERS)
    }
    path = save(tmp_path / "depth.pth.tar", state)
    study = tiny(tmp_path / "runs", "--methods", "kd4mtl", *teachers(depth=path))
    assert {row["method"] for row in run_study(study, Notes())} == {"single", "kd4mtl"}
    loaded = load_tensors(study.folder / "single/depth/seed0/student.safetensors")
    assert torch.equal(loaded["encoder.0.0.weight"], state["encoder_block.0.0.weight"])


@pytest.mark.parametrize(
    ("teachers_of", "line"),
    [
        ({"depht": __file__}, r"teachers.depht: expected one of the study's tasks, .*; did you mean `depth`\?"),
        (
            {"depth": "none.safetensors"},
            r"teachers.depth: expected `features` or a file or folder, found none at none.safetensors",
        ),
    ],
)
def test_what_is_refused_before_anything_is_built(tmp_path: Path, teachers_of: dict, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        tiny(tmp_path, *teachers(**teachers_of))


def test_a_network_of_another_size(finished: tuple, tmp_path: Path) -> None:
    path = finished[0] / "single/depth/seed0/student.safetensors"
    study = tiny(tmp_path / "runs", "--net.filters", "[8,8,8,8,8]", *teachers(depth=path))
    with pytest.raises(ValueError, match=r"safetensors: expected the weights of the study's network, found .*size mis"):
        run_study(study, Notes())
    assert not list(tmp_path.glob("**/result.json"))  # found before anything was trained
