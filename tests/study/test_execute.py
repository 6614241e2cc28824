"""One run by itself: any launcher can call it, and it leaves all that others read."""

import json
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import yaml
from tests.study.conftest import Notes, tiny
from tests.study.fragile import context
from tests.train.fixture import assert_same

import tutelage
from tutelage.data import Rooms
from tutelage.errors import UserError, folder_of
from tutelage.study import execute, load_study, plan, read_values, run_study
from tutelage.study.teachers import load_tensors

FLAGS = ("--methods", "kd4mtl", "--tasks", json.dumps({t: read_values("rooms-tiny")["tasks"][t] for t in ("depth",)}))


class Quiet:
    """An observer that tells nobody."""

    def begin(self, resumed: int) -> None: ...
    def step(self, step: int, total: int) -> None: ...
    def log(self, step: int, values: Mapping[str, float]) -> None: ...
    def note(self, text: str) -> None: ...


def worker(pickled: bytes, folder: str, threads: int) -> None:
    torch.set_num_threads(threads)  # sums depend on it
    execute(pickle.loads(pickled), Path(folder), Quiet())


def test_another_launcher_needs_specs_and_a_folder_alone(tmp_path: Path) -> None:
    flags = [*FLAGS, "--method.kd4mtl.distiller.weights", "null"]
    run_study(tiny(tmp_path / "local", *flags), Notes())
    study = tiny(tmp_path / "other", *flags)
    for spec in plan(study.values):  # each in a process of its own, which knows nothing of the study
        process = context.Process(target=worker, args=(pickle.dumps(spec), str(study.folder), torch.get_num_threads()))
        process.start()
        process.join()
        assert process.exitcode == 0
        for name in ("student.safetensors", "predictions.safetensors"):
            here, there = (load_tensors(tmp_path / launcher / spec.id / name) for launcher in ("local", "other"))
            assert_same(here, there)


def test_a_value_that_does_not_exist_is_null_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tutelage.study import execute as execute_run
    from tutelage.train import evaluate

    def without_depth(*args: object) -> dict:
        metrics = evaluate(*args)
        metrics["image"]["depth"]["rel_err"] = float("nan")
        return metrics

    monkeypatch.setattr(sys.modules["tutelage.study.execute"], "evaluate", without_depth)
    study, notes = tiny(tmp_path, *FLAGS, "--methods", "uniform"), Notes()
    result = execute_run(plan(study.values)[0], study.folder, notes)
    written = json.loads((tmp_path / "single/depth/seed0/result.json").read_text(), parse_constant=pytest.fail)
    written.pop("digest")
    assert written == result
    assert result["metrics"]["image"]["depth"]["rel_err"] is None
    assert result["metrics"]["dataset"]["depth"]["rel_err"] > 0
    (note,) = notes.notes
    assert note.startswith("single depth, seed 0: no value for depth rel_err (image): ")
    rows = run_study(study, Notes())
    by_protocol = {row["protocol"]: row for row in rows if row["method"] == "single"}
    assert by_protocol["image"]["delta"]["all_metrics"] is None
    assert by_protocol["dataset"]["delta"]["all_metrics"] == 0


@pytest.mark.parametrize("around", ["HideLabels", "HoldOut"])
def test_the_trained_size_of_a_wrapped_source_is_in_the_run(tmp_path: Path, around: str) -> None:
    values = read_values("rooms-tiny")
    held = {"class_path": "tutelage.data.HoldOut", "init_args": {"source": values["data"]}}
    wrapped = {"source": held, **({"keep": {"depth": 0.5}} if around == "HideLabels" else {})}
    values["data"] = {"class_path": f"tutelage.data.{around}", "init_args": wrapped}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values))
    flags = ["--methods", "single", "--max-steps", "1", "--out", str(tmp_path / "runs"), *FLAGS[2:]]
    study = load_study(tmp_path / "study.yaml", flags)
    execute(plan(study.values)[0], study.folder, Quiet())
    assert tutelage.load(tmp_path / "runs/single/depth/seed0").size == (32, 48)


def test_a_run_without_what_it_needs_says_so(tmp_path: Path) -> None:
    study = tiny(tmp_path, *FLAGS, "--method.kd4mtl.distiller.weights", "null")
    with pytest.raises(UserError, match=r"single/depth/seed0: expected a finished run, which kd4mtl, seed 0 needs"):
        execute(plan(study.values)[-1], study.folder, Quiet())


def test_the_runs_of_a_study_share_its_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = tiny(tmp_path, *FLAGS, "--methods", "uniform,url", "--seeds", "0,1")
    monkeypatch.setattr(Rooms, "__init__", lambda *_, **__: pytest.fail("data were built again"))
    built = [study.build(spec.config) for spec in plan(study.values)]
    assert all(objects.data is study.objects.data for objects in built)
    assert [objects.seeds for objects in built] == [[0]] * 3 + [[1]] * 3


def test_an_error_of_a_run_knows_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(sys.modules["tutelage.study.execute"], "fit", broken)
    study = tiny(tmp_path, *FLAGS)
    with pytest.raises(ZeroDivisionError) as error:
        execute(plan(study.values)[0], study.folder, Quiet())
    assert folder_of(error.value) == tmp_path / "single/depth/seed0"
