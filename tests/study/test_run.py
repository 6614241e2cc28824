import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.data.test_folders import write
from tests.study.conftest import TINY, Notes, built, tiny
from tests.train.fixture import assert_same

from tutelage.files import write_record
from tutelage.study import load_study, plan, read_values, run_study
from tutelage.study.execute import fabric_for
from tutelage.study.loggers import run_loggers
from tutelage.study.teachers import load_tensors

METHODS = ["single", "uniform", "uncertainty", "kd4mtl", "url"]
METRICS = {
    "segmentation": {"miou", "pixel_accuracy"},
    "depth": {"abs_err", "rel_err"},
    "normals": {"mean", "median", "within_11_25", "within_22_5", "within_30"},
}


def test_results_have_one_row_for_every_method_seed_and_protocol(finished: tuple) -> None:
    out, rows, _ = finished
    results = json.loads((out / "results.json").read_text())
    assert len(results.pop("digest")) == 32
    assert results == {"study": "rooms-tiny", "rows": rows}
    assert [(row["method"], row["protocol"]) for row in rows] == [(m, p) for m in METHODS for p in ("dataset", "image")]
    for row in rows:
        assert set(row) == {
            "method", "seed", "split", "values", "protocol", "metrics", "delta", "parameters", "seconds",
        }  # fmt: skip
        assert {task: set(values) for task, values in row["metrics"].items()} == METRICS
        assert set(row["delta"]) == {"main", "task_mean", "all_metrics"}
        assert (row["seed"], row["split"]) == (0, "test")
        assert row["seconds"] > 0


def test_the_single_task_networks_are_one_row_with_parameters_summed(finished: tuple) -> None:
    out, rows, _ = finished
    parts = [json.loads((out / f"single/{t}/seed0/result.json").read_text()) for t in METRICS]
    single = next(row for row in rows if row["method"] == "single")
    assert single["parameters"] == sum(part["parameters"] for part in parts)
    assert single["seconds"] == pytest.approx(sum(part["seconds"] for part in parts), abs=0.01)
    assert single["delta"] == {"main": 0, "task_mean": 0, "all_metrics": 0}
    students = {row["parameters"] for row in rows if row["method"] != "single"}
    assert len(students) == 1  # distilled or not, the student costs the same
    assert students.pop() < single["parameters"]


def test_delta_is_against_the_single_task_networks_of_the_same_seed(finished: tuple) -> None:
    _, rows, _ = finished
    single, row = (next(r for r in rows if r["method"] == m and r["protocol"] == "dataset") for m in ("single", "url"))
    change = [
        sign * (row["metrics"][t][m] - single["metrics"][t][m]) / single["metrics"][t][m]
        for t, m, sign in (("segmentation", "miou", 1), ("depth", "abs_err", -1), ("normals", "mean", -1))
    ]
    assert row["delta"]["main"] == pytest.approx(100 * sum(change) / 3)


def test_a_run_leaves_everything(finished: tuple) -> None:
    out, _, notes = finished
    for folder in ("single/depth/seed0", "kd4mtl/seed0"):
        names = {path.name for path in (out / folder).iterdir()}
        assert names == {
            "config.yaml", "environment.json", "log.jsonl", "tensorboard", "student.safetensors",
            "predictions.safetensors", "result.json", "spec.json", ".lock",
        }  # fmt: skip
        assert list((out / folder / "tensorboard").iterdir())
    facts = json.loads((out / "kd4mtl/seed0/environment.json").read_text())
    assert facts["versions"]["torch"] == torch.__version__.split("+")[0]
    assert {"command", "config", "data", "threads"} <= set(facts)
    log = [json.loads(line) for line in (out / "kd4mtl/seed0/log.jsonl").read_text().splitlines()]
    logged = {name for line in log for name in line}
    assert {"loss/depth", "distill/normals", "distance/normals/last", "distance/normals/bottleneck"} <= logged
    assert {f"{name}/depth/{tap}" for name in ("dead", "norm", "rank") for tap in ("bottleneck", "last")} <= logged
    predictions = load_tensors(out / "single/depth/seed0/predictions.safetensors")
    assert predictions["image"].shape == (6, 3, 32, 48)
    assert {name.split("/")[0] for name in predictions} == {"image", "target", "valid", "prediction", "score"}
    assert [name for name, _ in notes.started][:4] == [
        "single segmentation, seed 0", "single depth, seed 0", "single normals, seed 0", "uniform, seed 0",
    ]  # fmt: skip


def test_the_student_is_saved_without_adaptors_and_gives_the_same_numbers(finished: tuple) -> None:
    out, _, _ = finished
    study = tiny(out)
    spec = next(spec for spec in plan(study.values) if spec.method == "kd4mtl")
    run, _ = built(study, spec)
    tensors = load_tensors(out / spec.id / "student.safetensors")
    assert {name: x.shape for name, x in tensors.items()} == {n: x.shape for n, x in run.student.state_dict().items()}


def test_a_checkpoint_is_kept_where_the_study_says_so_and_an_unfinished_run_goes_on_from_it(tmp_path: Path) -> None:
    flags, out = ["--methods", "single", "--keep-checkpoint", "true"], tmp_path / "runs"
    rows = run_study(tiny(out, *flags), Notes())
    checkpoints = list(out.glob("single/*/seed0/checkpoint.pt"))
    assert len(checkpoints) == 3
    (out / "single/depth/seed0/result.json").unlink()
    notes = Notes()
    again = run_study(tiny(out, *flags), notes)
    assert notes.started == [("single depth, seed 0", 2)]
    assert notes.steps == 0  # its last checkpoint was that of the last step
    assert [row["metrics"] for row in again] == [row["metrics"] for row in rows]
    run_study(tiny(out, "--methods", "single", "--seeds", "0,1"), Notes())  # it is no other study, and keeps none
    assert all(path.exists() for path in checkpoints)  # but those that an earlier call was told to keep
    assert sorted(out.glob("**/checkpoint.pt")) == sorted(checkpoints)


def test_the_same_command_again_repeats_nothing(finished: tuple) -> None:
    out, rows, _ = finished
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/**/*") if path.is_file()}
    notes = Notes()
    assert run_study(tiny(out), notes) == rows
    assert notes.started == []
    assert "7 of 7 runs are finished" in notes.notes[0]
    assert before == {path: path.stat().st_mtime_ns for path in out.glob("*/**/*") if path.is_file()}


def test_a_run_repeated_from_nothing_is_the_same_to_the_bit(finished: tuple, tmp_path: Path) -> None:
    out, _, _ = finished
    copy = tmp_path / "runs"
    shutil.copytree(out, copy)
    shutil.rmtree(copy / "kd4mtl")
    run_study(tiny(copy, "--train.workers", "1"), Notes())
    name = "kd4mtl/seed0/student.safetensors"
    assert_same(load_tensors(copy / name), load_tensors(out / name))


def test_a_changed_config_says_what_changed(finished: tuple) -> None:
    out, _, _ = finished
    with pytest.raises(ValueError, match=r"train.epochs = 1; found 2; give another folder") as error:
        run_study(tiny(out, "--epochs", "2"), Notes())
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"adaptor_optim.optimizer.init_args.lr = 0.1; found 0.2"):
        run_study(tiny(out, "--method.kd4mtl.adaptor_optim.optimizer.lr", "0.2"), Notes())


def test_teachers_are_reused_by_other_methods_and_old_rows_are_kept(finished: tuple, tmp_path: Path) -> None:
    out, rows, _ = finished
    copy = tmp_path / "runs"
    shutil.copytree(out, copy)
    half = {"distiller": {"class_path": "FeatureDistiller", "init_args": {"match": {"last": "last"}}}}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({**read_values("rooms-tiny"), "methods": ["half"], "method": {"half": half}}))
    notes = Notes()
    again = run_study(load_study(file, [*TINY, "--out", str(copy)]), notes)
    assert notes.started == [("half, seed 0", 0)]
    assert {row["method"] for row in again} == {*METHODS, "half"}
    assert [row for row in again if row["method"] != "half"] == [row for row in rows if row["method"] == "single"] + [
        row for m in sorted(METHODS[1:]) for row in rows if row["method"] == m
    ]


def test_runs_of_other_values_or_data_are_not_averaged(finished: tuple, tmp_path: Path) -> None:
    """Other seeds and other methods of one folder share its table: they must be of one study."""
    out, _, _ = finished
    rate = "--method.kd4mtl.adaptor_optim.optimizer.lr"
    for flags, message in (
        (["--seeds", "1", rate, "0.001"], r"kd4mtl.seed0: expected .* = 0.1; found 0.001"),
        (["--seeds", "1", "--epochs", "2"], r"train.epochs = 1; found 2"),
        (["--seeds", "1", "--data.test", "7"], r"data = \w+; found \w+ \(and data.init_args.test\)"),
    ):
        with pytest.raises(ValueError, match=message):
            run_study(tiny(out, *flags), Notes())
    copy = tmp_path / "runs"
    shutil.copytree(out, copy)
    facts = copy / "url/seed0/environment.json"
    written = json.loads(facts.read_text())
    write_record(facts, {**written, "data": f"other{written['data']}"})
    with pytest.raises(ValueError, match=r"data = other\w+; found"):
        run_study(tiny(copy, "--methods", "uniform"), Notes())


def test_the_board_has_every_point_once_after_a_resume(tmp_path: Path) -> None:
    study = tiny(tmp_path)
    folder = study.folder / plan(study.values)[0].id
    for done, steps in ((0, (20, 40, 60)), (40, (60, 80))):  # killed after 60, with a checkpoint of 40
        train = study.objects.train
        fabric = fabric_for(train, None, run_loggers(train.logger, plan(study.values)[0], folder, done))
        for step in steps:
            fabric.log_dict({"loss/segmentation": float(step)}, step)
        for logger in fabric.loggers:
            logger.finalize("")
        time.sleep(1.1)  # the names of the board's files are seconds
    board = EventAccumulator(str(folder / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Scalars("loss/segmentation")] == [20, 40, 60, 80]
    lines = (folder / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [20, 40, 60, 80]


def test_a_schedule_is_that_of_the_epochs_whatever_max_steps(tmp_path: Path) -> None:
    flags = ["--epochs", "5", "--max-steps", "3", "--train.student.scheduler", "tutelage.train.Cosine"]
    study = tiny(tmp_path, *flags, "--train.student.interval", "step")
    run, _ = built(study, plan(study.values)[0])
    scheduler, interval = run.optimisers.schedulers["student"]
    assert (scheduler.total, interval) == (10, "step")  # two steps an epoch


def test_images_of_several_sizes(tmp_path: Path) -> None:
    """Files as they are, one by one: those that are shown must fit into one file."""
    for split in ("train", "val"):
        for stem, size in (("0", (40, 48)), ("1", (32, 64)), ("2", (40, 48))):
            write(tmp_path / "data" / split, [stem], size=size)
    kinds = {"depth": "tutelage.data.DepthLabel", "normals": "tutelage.data.NormalsLabel"}
    folders = {"depth": "depth", "normals": "normal"}
    labels: dict[str, Any] = {t: {"folder": folders[t], "kind": {"class_path": kind}} for t, kind in kinds.items()}
    values = read_values("rooms-tiny")
    del values["tasks"]["segmentation"]
    labels["depth"]["kind"]["init_args"] = {"scale": 1 / 25.5}  # of 8 bits
    arguments = {"root": str(tmp_path / "data"), "labels": labels}
    values |= {"data": {"class_path": "tutelage.data.Folders", "init_args": arguments}, "methods": ["kd4mtl"]}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(values))
    flags = ["--batch-size", "1", "--max-steps", "2", "--out", str(tmp_path / "runs"), "--train.augment", "null"]
    rows = run_study(load_study(file, flags), Notes())
    assert {row["method"] for row in rows} == {"single", "kd4mtl"}
    assert load_tensors(tmp_path / "runs/kd4mtl/seed0/predictions.safetensors")["image"].shape == (2, 3, 40, 48)


def test_a_wrong_tap_is_found_before_anything_is_trained(tmp_path: Path) -> None:
    notes = Notes()
    with pytest.raises(ValueError, match=r"expected taps of the student .*, found `nope`"):
        run_study(tiny(tmp_path, "--method.url.distiller.match", "{nope: last}"), notes)
    assert notes.started == []


def test_a_runs_config_is_a_study_of_its_own(finished: tuple) -> None:
    out, rows, _ = finished
    study = load_study(out / "kd4mtl/seed0/config.yaml")
    assert (study.objects.methods, study.objects.seeds) == (["kd4mtl"], [0])
    assert str(study.folder) == "runs/rooms-tiny-kd4mtl-seed0"  # it cannot spoil the study that it comes from
    notes = Notes()
    again = run_study(load_study(out / "kd4mtl/seed0/config.yaml", ["--out", str(out)]), notes)
    assert notes.started == []
    order = ["single", "kd4mtl", "uncertainty", "uniform", "url"]
    assert again == sorted(rows, key=lambda row: order.index(row["method"]))
    single = load_study(out / "single/depth/seed0/config.yaml")
    assert list(single.objects.tasks) == ["depth"]
    assert yaml.safe_load((out / "single/depth/seed0/config.yaml").read_text())["methods"] == ["single"]


def test_a_broken_teacher_file_is_one_line(finished: tuple, tmp_path: Path) -> None:
    out, _, _ = finished
    copy = tmp_path / "runs"
    shutil.copytree(out, copy)
    shutil.rmtree(copy / "url")
    (copy / "single/depth/seed0/student.safetensors").write_bytes(b"half")
    with pytest.raises(ValueError, match="expected a network saved by tutelage") as error:
        run_study(tiny(copy), Notes())
    assert "\n" not in str(error.value)
