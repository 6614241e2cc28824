import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tutelage.report.run_files import Teacher, keys, read_log, read_mapping, read_teachers

LINES = [b'{"step": 1, "epoch": 0.5, "loss/depth": 2.0}', b'{"step": 2, "epoch": 1.0, "loss/depth": 1.0}']


@pytest.mark.parametrize(
    "damaged", [b'{"step": 3, "epo', b"", b"3", b"[1]", b"null", b"\xff\xfe", b'{"step": 3}', b'{"epoch": "one"}']
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_line_of_a_log_hides_itself_alone(tmp_path: Path, damaged: bytes, place: int) -> None:
    lines = list(LINES)
    lines.insert(place, damaged)
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(lines))
    assert read_log(tmp_path / "log.jsonl") == list(map(json.loads, LINES))


def test_what_is_no_number_is_left_out_of_its_line(tmp_path: Path) -> None:
    text = '{"epoch": 1, "loss/depth": null, "loss/edges": "2", "weight/depth": NaN, "rank": 2}'
    (tmp_path / "log.jsonl").write_text(text)
    [line] = read_log(tmp_path / "log.jsonl")
    assert set(line) == {"epoch", "weight/depth", "rank"}


@pytest.mark.parametrize("suffix", ["json", "yaml"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff\xfe", b"a: b: c"])
def test_a_damaged_file_reads_as_empty(tmp_path: Path, suffix: str, content: bytes | None) -> None:
    path = tmp_path / f"file.{suffix}"
    if content is not None:
        path.write_bytes(content)
    assert read_mapping(path) == {}


def test_the_names_of_a_log() -> None:
    assert keys([{"a/y": 1}, {"a/x": 1, "b": 1}, {"a/y": 1}], "a/") == ["a/x", "a/y"]


def teachers(folder: Path, **files: Any) -> dict[str, Teacher]:
    for name, values in files.items():
        path = folder / ("spec.json" if name == "spec" else "config.yaml")
        path.write_text(json.dumps(values) if name == "spec" else yaml.safe_dump(values))
    return read_teachers(folder, "kd4mtl")


def test_teachers_are_those_of_the_spec(tmp_path: Path) -> None:
    spec = {
        "format": 1,
        "teachers": {
            "depth": {"tasks": ["depth"], "kind": "single", "run": "single/depth/seed0"},
            "indoor": {"tasks": ["segmentation", "depth"], "kind": "teacher", "run": "teacher/indoor/seed0"},
            "dino": {"tasks": [], "kind": "features", "run": None},
            "sam": {"tasks": ["segmentation"], "kind": "file", "run": None},
        },
    }
    assert teachers(tmp_path, spec=spec, config={"method": {}}) == {
        "depth": Teacher("depth", ("depth",), "single", "single/depth"),
        "indoor": Teacher("indoor", ("segmentation", "depth"), "teacher", "teacher/indoor"),
        "dino": Teacher("dino", (), "features", None),
        "sam": Teacher("sam", ("segmentation",), "file", None),
    }


@pytest.mark.parametrize("entry", [None, 3, {}, {"tasks": "depth", "kind": 3, "run": 1}, {"kind": "new"}, {"kind": []}])
def test_an_entry_of_another_form_is_a_teacher_that_nothing_is_known_of(tmp_path: Path, entry: Any) -> None:
    assert teachers(tmp_path, spec={"teachers": {"dino": entry}}) == {"dino": Teacher("dino", (), "file", None)}


def test_a_spec_without_teachers_is_that_of_a_run_without_teachers(tmp_path: Path) -> None:
    config = {"tasks": {"depth": None}, "method": {"kd4mtl": {"distiller": {"class_path": "x"}}}}
    assert teachers(tmp_path, spec={"teachers": {}}, config=config) == {}
    assert set(teachers(tmp_path, spec={"format": 1}, config=config)) == {"depth"}  # damaged: what config.yaml says


OLD = {
    "tasks": {"segmentation": None, "depth": None, "normals": None},
    "method": {"kd4mtl": {"distiller": {"class_path": "tutelage.distill.FeatureDistiller"}}},
}


def test_an_earlier_version_had_one_teacher_per_task(tmp_path: Path) -> None:
    assert teachers(tmp_path, config=OLD) == {t: Teacher(t, (t,), "single", f"single/{t}") for t in OLD["tasks"]}


def test_an_earlier_version_had_teachers_of_other_kinds(tmp_path: Path) -> None:
    nets = {"teacher_net": {"segmentation": {"class_path": "x"}, "depth": {"class_path": "y"}}}
    files = {"teachers": {"depth": "features", "normals": "/moved/normals.safetensors"}}
    assert teachers(tmp_path, config={**OLD, **nets, **files}) == {
        "segmentation": Teacher("segmentation", ("segmentation",), "teacher", "teacher/segmentation"),
        "depth": Teacher("depth", ("depth",), "features", None),
        "normals": Teacher("normals", ("normals",), "single", "single/normals"),  # evaluated in the study's own folder
    }


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"tasks": 3, "method": [], "teacher_net": "x"},
        {**OLD, "method": {"kd4mtl": {}}},
        {**OLD, "method": {"kd4mtl": None}},
    ],
)
def test_a_run_without_a_distiller_has_no_teacher(tmp_path: Path, config: dict[str, Any]) -> None:
    assert teachers(tmp_path, config=config) == {}
