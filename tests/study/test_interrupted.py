"""A study that is killed, or that the machine fails, ends as an undisturbed one."""

import json
import random
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.data.test_folders import write
from tests.study.conftest import Notes, tiny
from tests.study.fragile import Study, kill_until_finished
from tests.train.fixture import assert_same

from tutelage.study import Study as Loaded
from tutelage.study import load_study, read_values, run_study
from tutelage.study.launch.local import execute_next
from tutelage.study.launch.ready import Ready
from tutelage.study.teachers import load_tensors


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, dict[str, Any], float]:
    """A study that nobody disturbs: its folder, what it said, and how long it took."""
    study = Study(tmp_path_factory.mktemp("undisturbed"))
    study.run(at=1)  # the first process of all imports everything
    began = time.monotonic()
    said = study.run()
    assert said is not None
    assert said["status"] == 0
    return study, said, time.monotonic() - began


def assert_equal(study: Study, other: Study) -> None:
    """The same files, and in them the same tensors, bit for bit, the same log and the same results."""

    def files(folder: Path) -> set[Path]:
        return {p.relative_to(folder) for p in folder.glob("**/*") if p.is_file() and "tfevents" not in p.name}

    assert files(study.out) == files(other.out)
    for path in files(study.out):
        mine, theirs = study.out / path, other.out / path
        if path.suffix == ".safetensors":
            assert_same(load_tensors(mine), load_tensors(theirs))
        elif path.suffix == ".pt":
            assert_same(*(torch.load(file, weights_only=True) for file in (mine, theirs)))
        elif path.name == "log.jsonl":
            assert mine.read_text() == theirs.read_text(), path
        elif path.name in ("result.json", "results.json"):
            assert timeless(json.loads(mine.read_text())) == timeless(json.loads(theirs.read_text())), path


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(x) for key, x in value.items() if key not in ("seconds", "digest")}
    return [timeless(x) for x in value] if isinstance(value, list) else value


def check(undisturbed: tuple[Study, dict[str, Any], float], folder: Path, seed: int, kills: int) -> list[str]:
    whole, said, seconds = undisturbed
    study = Study(folder / str(seed))
    history = kill_until_finished(study, said["moments"], seconds, kills, random.Random(seed))
    last = study.run()
    assert last is not None
    assert last["status"] == 0, last
    assert_equal(study, whole)
    assert not list(study.out.glob("**/.*.part-*"))  # what was half written is gone
    shutil.rmtree(study.folder)
    return history


@pytest.mark.slow
def test_killed_fifty_times(undisturbed: tuple, tmp_path: Path) -> None:
    kills, seed = 0, 100
    while kills < 50:
        history = check(undisturbed, tmp_path, seed, min(8, 50 - kills))
        print(f"seed {seed}: {'; '.join(history)}")
        kills += len(history)
        seed += 1


def test_a_killed_run_goes_on_from_its_last_checkpoint_and_says_so(undisturbed: tuple, tmp_path: Path) -> None:
    study, moments = Study(tmp_path), undisturbed[1]["moments"]
    at = moments // 2
    while not (begun := {p.parent for p in study.out.glob("**/checkpoint.pt")} - {p.parent for p in study.finished()}):
        assert study.run(at) is None
        at = 20
    (folder,) = begun
    step = torch.load(folder / "checkpoint.pt", weights_only=True)["step"]
    finished = study.finished()
    said = study.run()
    assert said is not None
    assert f"continues after step {step}\n" in said["said"]
    assert f"{len(finished)} of 5 runs are finished in " in said["said"]
    assert finished.items() <= study.finished().items()
    assert_equal(study, undisturbed[0])
    assert not list(study.out.glob("**/.*.part-*"))  # what was half written is gone


def test_a_full_disk_is_one_line_and_the_study_goes_on_once_there_is_room(undisturbed: tuple, tmp_path: Path) -> None:
    whole, said, _ = undisturbed
    study = Study(tmp_path)
    for at in random.Random(1).sample(range(2, said["moments"]), 2):  # test_full_disk.py: each file by name
        stopped = study.run(at, failure="full")
        assert stopped is not None
        if stopped["status"] == 0:  # the moment lay behind the end
            continue
        assert stopped["status"] == 2
        assert re.fullmatch(r"tutelage: .*No space left on device.*make room.*\n", stopped["complained"])
    last = study.run()
    assert last is not None
    assert last["status"] == 0
    assert_equal(study, whole)


def test_two_processes_share_a_study_and_one_may_die(undisturbed: tuple, tmp_path: Path) -> None:
    whole, _, seconds = undisturbed
    study = Study(tmp_path)
    one, other = study.start(), study.start()
    other.join(0.6 * seconds)
    other.kill()
    other.join()
    one.join(120)
    assert one.exitcode == 0
    study.run()  # what the dead one left half written goes
    assert_equal(study, whole)


def test_processes_with_other_values_do_not_fill_one_table(tmp_path: Path) -> None:
    first = tiny(tmp_path / "runs", "--methods", "uniform")
    second = tiny(tmp_path / "runs", "--methods", "uniform", "--epochs", "2")

    class Intruder(Notes):
        """The other process, which begins while the first is at its first run."""

        def finish(self, name: str, metrics: Mapping[str, Mapping[str, float]]) -> None:
            ready = Ready(second)
            while execute_next(ready, Notes()):
                pass

    with pytest.raises(ValueError, match=r"expected the config that its run was made with, train.epochs = [12]; found"):
        run_study(first, Intruder())


class Saboteur(Notes):
    """Moves a folder away after some steps."""

    def __init__(self, folder: Path, steps: int) -> None:
        super().__init__()
        self.folder, self.left = folder, steps

    def step(self, step: int, total: int) -> None:
        self.left -= 1
        if self.left == 0:
            self.folder.rename(self.folder.with_name("elsewhere"))


def test_data_that_vanish_are_one_line_and_the_study_goes_on_once_they_are_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write(data / "train", [str(i) for i in range(12)], size=(32, 48))
    values = read_values("rooms-tiny") | {
        "data": {"class_path": "tutelage.data.NYUv2", "init_args": {"size": [32, 48]}}
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    flags = ["--data.root", str(data), "--epochs", "2", "--batch-size", "4", "--methods", "kd4mtl", "--precision",
             "32-true", "--checkpoint-steps", "1", "--shards", "never"]  # fmt: skip

    def study(out: str) -> Loaded:
        return load_study(tmp_path / "study.yaml", [*flags, "--out", str(tmp_path / out)])

    run_study(study("undisturbed"), Notes())
    with pytest.raises(ValueError, match=r"expected a readable .* file, found .*No such file.*") as error:
        run_study(study("disturbed"), Saboteur(data, steps=6))
    assert str(data / "train") in str(error.value)
    assert "\n" not in str(error.value)
    data.with_name("elsewhere").rename(data)
    notes = Notes()
    run_study(study("disturbed"), notes)
    assert notes.started[0] == ("single depth, seed 0", 2)  # in its third step the data had vanished
    one, other = (tmp_path / out / "kd4mtl/seed0/student.safetensors" for out in ("undisturbed", "disturbed"))
    assert_same(load_tensors(one), load_tensors(other))
