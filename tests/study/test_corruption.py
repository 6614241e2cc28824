"""Every file of a study's folder truncated, emptied, or with a bit flipped: named, or written again, never believed."""

import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.study.conftest import Notes
from tests.study.test_interrupted import timeless
from tests.wrong import base

from tutelage.deploy import fingerprint, load
from tutelage.errors import UserError
from tutelage.report import markdown, read_tasks
from tutelage.study import load_study, run_study
from tutelage.values import read_values, with_new_names

UNTOUCHED = ("tfevents", ".lock", "report.html")  # nobody reads them, but people


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study, with study.yaml and runs/."""
    folder = tmp_path_factory.mktemp("whole")
    tasks = {t: task for t, task in base()["tasks"].items() if t == "depth"}
    values = base(tasks=tasks, methods=["url"])
    values["train"] |= {
        "keep_checkpoint": True,
        "channels_last": False,
        "augment": None,
        "teacher_cache": {"mode": "always"},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(values))
    run(folder)
    return folder


def run(folder: Path) -> Any:
    """Run or continue the study; its rows."""
    return timeless(run_study(load_study(folder / "study.yaml", ["--out", str(folder / "runs")]), Notes()))


def report(folder: Path) -> Any:
    """Report the study as the command does, without running it; the rows that it shows."""
    file = folder / "runs/study.yaml"
    tasks = read_tasks(with_new_names(read_values(file), {}), file)
    markdown(folder / "runs", tasks)
    assert set(tasks) == {"depth"}
    return timeless(json.loads((folder / "runs/results.json").read_text())["rows"])


def files(folder: Path) -> list[str]:
    every = sorted(path for path in (folder / "runs").glob("**/*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in every]
    return [name for name in names if not any(part in name for part in UNTOUCHED)]


def damages(content: bytes, dice: random.Random, flips: int) -> Iterator[tuple[str, bytes]]:
    yield "emptied", b""
    yield "truncated", content[: len(content) // 2]
    for _ in range(flips):
        flipped, at, bit = bytearray(content), dice.randrange(len(content)), dice.randrange(8)
        flipped[at] ^= 1 << bit
        yield f"bit {bit} of byte {at} flipped", bytes(flipped)


NAMES = ["study.yaml", "results.json", "teacher_cache.json"] + [
    f"{run}/{name}"
    for run in ("single/depth/seed0", "url/seed0")
    for name in ("config.yaml", "environment.json", "spec.json", "result.json", "log.jsonl", "student.safetensors",
                 "predictions.safetensors", "checkpoint.pt", "teacher_cache.json")
    if (run, name) != ("single/depth/seed0", "teacher_cache.json")
]  # fmt: skip


def test_these_are_all_files(whole: Path) -> None:
    assert files(whole) == sorted(f"runs/{name}" for name in NAMES)


Again = Callable[[Path], Any]


def survives(whole: Path, folder: Path, name: str, damage: str, content: bytes, again: Again, gone: list[str]) -> str:
    """What became of a damaged file: `named`, or `harmless` where all numbers are as before."""
    shutil.rmtree(folder / "runs", ignore_errors=True)
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    for path in gone:
        (folder / path).unlink()
    expected = timeless(json.loads((whole / "runs/results.json").read_text())["rows"])
    (folder / "runs" / name).write_bytes(content)
    try:
        found = again(folder)
    except UserError as error:
        line = str(error)
        named = str(folder / "runs" / name) in line or str((folder / "runs" / name).parent) in line
        assert named, f"{damage}: {line}"
        assert ";" in line, f"{damage}: {line}"
        return "named"
    assert found == expected, damage
    return "harmless"


UNFINISHED = [f"runs/url/seed0/{name}" for name in ("result.json", "student.safetensors", "predictions.safetensors")]
CALLS: dict[str, tuple[Again, list[str]]] = {
    "run again": (run, []),
    "go on": (run, UNFINISHED),
    "report": (report, []),
}


def attack(whole: Path, folder: Path, name: str, call: str, flips: int) -> dict[str, int]:
    again, gone = CALLS[call]
    counts = {"named": 0, "harmless": 0}
    if f"runs/{name}" in gone:
        return counts
    content = (whole / "runs" / name).read_bytes()
    for damage, damaged in damages(content, random.Random(name), flips):
        counts[survives(whole, folder, name, damage, damaged, again, gone)] += 1
    return counts


@pytest.fixture(autouse=True)
def never_trains(monkeypatch: pytest.MonkeyPatch, whole: Path) -> None:
    execute = sys.modules["tutelage.study.execute"]
    fit = execute.fit
    monkeypatch.setattr(execute, "fit", lambda fabric, run, *rest: run.step and fit(fabric, run, *rest))


@pytest.mark.parametrize("name", NAMES)
def test_a_report_of_damaged_files_shows_the_numbers_or_none(name: str, whole: Path, tmp_path: Path) -> None:
    attack(whole, tmp_path, name, "report", flips=3)


@pytest.mark.parametrize(
    ("name", "call", "became"),
    [
        ("url/seed0/result.json", "run again", "named"),
        ("single/depth/seed0/spec.json", "run again", "harmless"),  # it is written again
        ("results.json", "run again", "harmless"),
        ("single/depth/seed0/student.safetensors", "go on", "named"),
        ("url/seed0/checkpoint.pt", "go on", "named"),
        ("url/seed0/environment.json", "go on", "named"),
    ],
)
def test_a_study_with_a_flipped_bit_is_not_believed(
    name: str, call: str, became: str, whole: Path, tmp_path: Path
) -> None:
    content = bytearray((whole / "runs" / name).read_bytes())
    content[len(content) // 2] ^= 2
    assert survives(whole, tmp_path, name, "a flipped bit", bytes(content), *CALLS[call]) == became


@pytest.mark.slow
@pytest.mark.parametrize("call", ["run again", "go on"])
@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_damage(name: str, call: str, whole: Path, tmp_path: Path) -> None:
    print(name, call, attack(whole, tmp_path, name, call, flips=4))


def test_a_damaged_student_predicts_nothing_else(whole: Path, tmp_path: Path) -> None:
    content = (whole / "runs/url/seed0/student.safetensors").read_bytes()
    file, sound = tmp_path / "student.safetensors", load(whole / "runs/url/seed0/student.safetensors")
    named = 0
    for _, damaged in damages(content, random.Random(0), 20):
        file.write_bytes(damaged)
        try:
            loaded = load(file)
        except UserError as error:
            named += str(error).startswith(f"{file}: ")
        else:  # the flip was in the config of the run, which `load` does not read
            named += loaded.config == sound.config
            assert fingerprint(loaded.net.state_dict()) == fingerprint(sound.net.state_dict())
    assert named == 22
