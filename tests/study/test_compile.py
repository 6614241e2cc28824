"""`train.compile` of a study: a run that cannot be compiled ends where an uncompiled one does, and says why."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from tests.study.conftest import Notes, tiny
from tests.train.fixture import assert_same

from tutelage.errors import UserError
from tutelage.study import plan, read_values, run_study
from tutelage.study.mixing import refuse_mixing
from tutelage.study.teachers import load_tensors

TASKS = json.dumps({"depth": read_values("rooms-tiny")["tasks"]["depth"]})
FLAGS = ("--methods", "single", "--tasks", TASKS, "--max-steps", "2")
_compile = torch.compile


def fails(*args: object, **kwargs: object) -> None:
    raise OSError("the compiler is on strike")


def test_a_run_goes_on_uncompiled_and_is_not_mixed_with_a_compiled_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda forward, dynamic, options: _compile(forward, backend=fails))
    studies = {on: tiny(tmp_path / on, *FLAGS, "--train.compile", on) for on in ("true", "false")}
    notes = {on: Notes() for on in studies}
    for on, study in studies.items():
        run_study(study, notes[on])
    (spec,) = plan(studies["true"].values)
    said = "train.compile: the student runs uncompiled, since it cannot be compiled here: OSError: the compiler is on"
    assert [note for note in notes["true"].notes if "train.compile" in note] == [f"{spec.label}: {said} strike"]
    assert not any("train.compile" in note for note in notes["false"].notes)
    files = [load_tensors(study.folder / spec.id / "student.safetensors") for study in studies.values()]
    assert_same(*files)

    (other,) = plan(studies["false"].values)
    data = json.loads((studies["true"].folder / spec.id / "environment.json").read_text())["data"]
    with pytest.raises(UserError, match=r"train\.compile = True; found False"):
        refuse_mixing(studies["true"].folder / spec.id, other.config, data)
    file = studies["false"].folder / spec.id / "config.yaml"
    values = yaml.safe_load(file.read_text())
    del values["train"]["compile"]  # as a run of an earlier version
    file.write_text(yaml.safe_dump(values))
    refuse_mixing(file.parent, other.config, data)
    with pytest.raises(UserError, match=r"train\.compile = "):
        refuse_mixing(file.parent, spec.config, data)
