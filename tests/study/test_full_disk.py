"""A disk that is full at a chosen write, a folder that becomes read-only, a clock that jumps.

A folder that is read-only, or full, is a fake: tests may run as root, who may write everywhere.
"""

import errno
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from unittest.mock import Mock

import pytest
import yaml
from tensorboard.summary.writer.record_writer import RecordWriter
from tests.study.test_interrupted import timeless
from tests.wrong import base

from tutelage import files
from tutelage.cache import entry
from tutelage.cli import main

# In the order in which a study writes them.
NAMES = [
    "study.yaml", "data.json", "environment.json", "config.yaml", "spec.json", "log.jsonl", "checkpoint.pt",
    "metrics.csv", "predictions.safetensors", "student.safetensors", "result.json", "results.json", "report.html",
]  # fmt: skip
Fails = Callable[[Path], int | None]  # the number of the system's error at the writing of a file


def error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))


class _Failing:
    """A file of which half of what is written fits."""

    def __init__(self, file: IO[Any], number: int) -> None:
        self.file, self.number = file, number

    def write(self, data: Any) -> int:
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        raise OSError(self.number, os.strerror(self.number))  # as a file does: it names none

    def __enter__(self) -> "_Failing":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fails], None]:
    """Let the writing of files fail."""
    create, open_file = files._create, Path.open

    def set_fails(fails: Fails) -> None:
        def created(part: Path) -> Any:
            number = fails(part.with_name(part.name[1:].partition(".part-")[0]))
            if number == errno.EROFS:
                raise error(number, part)
            return create(part) if number is None else _Failing(create(part), number)

        def opened(self: Path, mode: str = "r", *arguments: Any, **keywords: Any) -> Any:
            number = fails(self) if mode == "a" and self.name == "log.jsonl" else None
            file = open_file(self, mode, *arguments, **keywords)
            return file if number is None else _Failing(file, number)

        monkeypatch.setattr(files, "_create", created)
        monkeypatch.setattr(Path, "open", opened)

    return set_fails


def study(folder: Path, **changes: Any) -> list[str]:
    """The command of a study of a single-task network and of a method, with a cache of teachers."""
    values = base(methods=["url"])
    values["tasks"] = {"depth": values["tasks"]["depth"]}
    values["net"]["init_args"] |= {"filters": [4, 4, 4, 4, 4]}
    values["train"] |= {"epochs": 2, "checkpoint_steps": 1, "log_steps": 1, "logger": ["tensorboard", "csv"]}
    values["train"] |= {"augment": None, "channels_last": False, **changes}
    (folder / "study.yaml").write_text(yaml.safe_dump(values))
    return ["run", str(folder / "study.yaml"), "--out", str(folder / "runs")]


def rows(folder: Path) -> Any:
    return timeless(json.loads((folder / "runs/results.json").read_text())["rows"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert main(study(folder)) == 0
    return rows(folder)


def line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command has printed as its error."""
    text = capsys.readouterr().err
    assert text.startswith("tutelage: ")
    assert text.count("\n") == 1, text
    assert "traceback" not in text, text
    return text


def test_the_disk_is_full_at_every_file(
    failing: Callable[[Fails], None], undisturbed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = study(tmp_path)
    for name in NAMES:
        failing(lambda path, name=name: errno.ENOSPC if path.name == name else None)
        assert main(command) == 2, name
        text = line(capsys)
        assert name in text
        assert "No space left on device" in text
        assert "make room and give the same command again" in text
    assert not list(tmp_path.glob("runs/**/.*.part-*"))
    failing(lambda path: None)
    assert main(command) == 0
    assert rows(tmp_path) == undisturbed


def test_the_disk_is_full_at_a_line_of_the_log_and_in_the_thread_of_tensorboard(
    failing: Callable[[Fails], None],
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command, lines = study(tmp_path), itertools.count()
    with monkeypatch.context() as patch:
        patch.setattr(RecordWriter, "write", Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
        assert main(command) == 2
    assert "single/depth/seed0/tensorboard" in line(capsys)
    failing(lambda path: errno.ENOSPC if path.name == "log.jsonl" and next(lines) == 2 else None)
    assert main(command) == 2
    assert "single/depth/seed0/log.jsonl" in line(capsys)
    failing(lambda path: None)
    assert main(command) == 0
    assert rows(tmp_path) == undisturbed
    log = [json.loads(x)["step"] for x in (tmp_path / "runs/url/seed0/log.jsonl").read_text().splitlines()]
    assert sorted(set(log)) == [1, 2]


@pytest.mark.parametrize("mode", [pytest.param("auto", marks=pytest.mark.slow), "always"])
def test_the_disk_of_the_cache_is_full(
    mode: str, monkeypatch: pytest.MonkeyPatch, undisturbed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = study(tmp_path, teacher_cache={"mode": mode})

    def allocate(path: Path, size: int) -> None:
        raise error(errno.ENOSPC, path)

    with monkeypatch.context() as patch:
        patch.setattr(entry, "allocate", allocate)
        assert main(command) == 0
    if mode == "always":  # of so small a network `auto` has no cache
        assert "teacher cache: the disk is full; teachers run in every step instead" in capsys.readouterr().out
    assert rows(tmp_path) == undisturbed


def test_the_folder_becomes_read_only(
    failing: Callable[[Fails], None], undisturbed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After some writes, and again after some more that the same command gets done."""
    command = study(tmp_path)
    for writes in (3, 7, 9):
        number = itertools.count(1)
        failing(
            lambda path, n=number, most=writes: (
                errno.EROFS if path.is_relative_to(tmp_path) and next(n) > most else None
            )
        )
        assert main(command) == 2
        text = line(capsys)
        assert "Read-only file system" in text
        assert str(tmp_path / "runs") in text
    failing(lambda path: None)
    assert main(command) == 0
    assert rows(tmp_path) == undisturbed


def jumps() -> Iterator[float]:
    """Seconds of a clock that is set by a day, a year, and back."""
    for n in itertools.count():
        yield 1.6e9 + (86_400.0, -86_400.0, 3e7, 0.0, 1.0)[n % 5]


def test_the_clock_jumps(monkeypatch: pytest.MonkeyPatch, undisturbed: Any, tmp_path: Path) -> None:
    clock = jumps()
    monkeypatch.setattr(time, "time", lambda: next(clock))
    monkeypatch.setattr(time, "time_ns", lambda: int(next(clock) * 1e9))
    assert main(study(tmp_path)) == 0
    assert rows(tmp_path) == undisturbed
    lock = next((Path(os.environ["XDG_CACHE_HOME"]) / "tutelage").glob("*/*/.lock"), None)
    if lock is not None:
        os.utime(lock, (4e9, 4e9))  # in many years
    assert main(["cache", "list"]) == 0
