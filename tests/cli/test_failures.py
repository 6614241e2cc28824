"""Whose an error is, what the command says of it, its status, and where its traceback is."""

import errno
import re
import signal
import sys
from pathlib import Path

import pytest
import torch
import yaml
from tests.test_wrong_own import OWN, STUDY
from tests.wrong import base

import tutelage
from tutelage.cli import main
from tutelage.cli.failures import explain
from tutelage.errors import UserError, writing_to
from tutelage.train import Interrupted

OURS = str(Path(tutelage.__file__).parent / "study/run.py")


def raised(error: BaseException, file: str = OURS) -> BaseException:
    """The error as code in a file raises it."""
    try:
        exec(compile("\ndef work(error):\n    raise error\nwork(error)", file, "exec"), {"error": error})
    except BaseException as caught:  # signals, too
        caught.__traceback__ = caught.__traceback__.tb_next
        return caught
    raise AssertionError("nothing was raised")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUTELAGE_TRACEBACK", raising=False)


def explained(
    error: BaseException, capsys: pytest.CaptureFixture[str], show: bool = False, again: str | None = None
) -> tuple[int, str]:
    status = explain(error, show, again)
    return status, capsys.readouterr().err


def test_what_the_user_has_to_change_is_a_line_alone(capsys: pytest.CaptureFixture[str]) -> None:
    line = "data.root: expected a folder, found none; give one"
    assert explained(raised(UserError(line)), capsys) == (2, f"tutelage: {line}\n")
    assert not [*Path().iterdir()]


def test_a_defect_is_a_line_that_names_the_file_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = explained(raised(ValueError("shapes\ndiffer")), capsys)
    (file,) = Path().iterdir()
    assert status == 1
    assert text == f"tutelage: this is a defect of tutelage: ValueError: shapes differ; please report it with {file}\n"
    written = file.read_text()
    assert "in work" in written
    assert "ValueError: shapes\ndiffer" in written
    assert f"torch {torch.__version__.split('+')[0]}" in written


def test_its_traceback_is_in_the_folder_of_the_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = tmp_path / "runs/single/seed0"
    run.mkdir(parents=True)
    with pytest.raises(KeyError) as info, writing_to(tmp_path / "runs"), writing_to(run):
        raise raised(KeyError("depth"))
    assert str(run) in explained(info.value, capsys)[1]
    assert [file.suffix for file in run.iterdir()] == [".txt"]


def test_a_folder_that_cannot_be_written_is_no_second_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> None:
        if path.parent != tmp_path / "temporary":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        path.write_text(text)

    monkeypatch.setattr("tutelage.cli.failures.write_text", full)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "temporary"))
    text = explained(raised(KeyError("depth")), capsys)[1]  # not even a temporary folder
    assert "Traceback" in text
    assert text.endswith("tutelage: this is a defect of tutelage: KeyError: 'depth'\n")
    (tmp_path / "temporary").mkdir()
    assert f"{tmp_path}/temporary/tutelage-traceback-" in explained(raised(KeyError("depth")), capsys)[1]


@pytest.mark.parametrize(("error", "status"), [(UserError("x: expected y, found z"), 2), (KeyError("depth"), 1)])
def test_a_traceback_is_shown_in_place_of_a_file(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = explained(raised(error), capsys, show=True)
    assert code == status
    assert text.startswith("Traceback (most recent call last)")
    assert text.splitlines()[-1].startswith("tutelage: ")
    assert not [*Path().iterdir()]


@pytest.mark.parametrize(
    "words", [["--traceback", "report", "runs"], ["report", "--traceback", "runs"], ["report", "runs", "--traceback"]]
)
def test_the_flag_may_stand_anywhere(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("0", False), ("", False)])
def test_the_environment_asks_for_it_too(
    value: str, shown: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTELAGE_TRACEBACK", value)
    assert main(["report", "runs"]) == 2
    assert ("Traceback" in capsys.readouterr().err) == shown


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "runs/a"), "[Errno 13] Permission denied: 'runs/a'"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.png"), "[Errno 2] No such file: 'a.png'"),
        (
            IsADirectoryError(errno.EISDIR, "Is a directory", "runs/a/report.html"),
            "[Errno 21] Is a directory: 'runs/a/report.html'; move or remove that folder",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "[Errno 28] No space left on device; make room and give the same command again",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
            "expected enough memory, found OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.; lower "
            "train.batch_size (and raise train.accumulate), or take smaller images",
        ),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
            "expected processes that load images to stay alive, found RuntimeError: DataLoader worker (pid 7) is "
            "killed by signal: Killed.; free memory (also shared memory, /dev/shm), or lower train.workers",
        ),
    ],
)
def test_what_the_machine_lacks_is_no_defect(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(raised(error), capsys) == (2, f"tutelage: {line}\n")
    assert not [*Path().iterdir()]


def test_an_os_error_that_the_system_did_not_raise_is_a_defect(capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(raised(OSError("bad stream")), capsys)[0] == 1


def test_code_of_the_user_is_named_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = explained(raised(KeyError("depth"), "/home/user/own.py"), capsys)
    (file,) = Path().iterdir()
    assert status == 2
    assert text == (
        "tutelage: /home/user/own.py:3 in work: expected this code of yours to run, found KeyError: 'depth'; the "
        f"traceback is in {file}\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "self.change, self.count = change, count",
            "self.change, self.count = change, counts",
            r"own.py:\d+ in Own.__init__: expected a class that can be built, found NameError: .*counts.*",
        ),
        (
            "return self.count",
            "return self.counts",
            r"own.py:\d+ in Own.__len__: expected .*AttributeError: .*counts.*",
        ),
        ("index % 3", "index % three", r"data.train\[\d\]: expected a sample, found NameError: .*three.*"),
    ],
)
def test_a_mistake_in_a_class_of_the_users_is_theirs(
    old: str, new: str, line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own", raising=False)
    Path("own.py").write_text(OWN.replace(old, new))
    Path("study.yaml").write_text(STUDY)
    assert main(["run", "study.yaml", "--batch-size", "2"]) == 2
    text = capsys.readouterr().err
    (file,) = Path().glob("tutelage-traceback-*")
    assert re.fullmatch(rf"tutelage: .*{line}; the traceback is in {file}\n", text)
    assert "own.py" in file.read_text()


def test_our_own_mistakes_are_not_the_users(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tutelage.study.complete", None)
    assert main(["run", "rooms"]) == 1
    (file,) = Path().iterdir()
    assert capsys.readouterr().err == (
        "tutelage: this is a defect of tutelage: TypeError: 'NoneType' object is not callable; please report it with "
        f"{file}\n"
    )


def test_an_interruption_says_how_to_continue(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, text = explained(KeyboardInterrupt(), capsys, again="from the last frame")
    assert (status, text) == (130, "\ntutelage: stopped; the same command continues from the last frame\n")
    assert explained(KeyboardInterrupt(), capsys) == (130, "\ntutelage: stopped\n")

    for number, expected in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        status, text = explained(Interrupted(number, 120), capsys, again="from there")
        name = number.name
        assert status == expected
        assert (
            text
            == f"\ntutelage: stopped by {name} after step 120, which is saved; the same command continues from there\n"
        )
    monkeypatch.setattr(
        "tutelage.cli.presets.execute", lambda *_: (_ for _ in ()).throw(Interrupted(signal.SIGTERM, 3))
    )
    assert main(["presets"]) == 143


@pytest.mark.parametrize("verb", ["presets", "report x", "compare x y", "cache list"])
def test_a_reader_that_has_gone_is_no_error(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(f"tutelage.cli.{verb.split()[0]}.execute", gone)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    assert main(verb.split()) == 0


def test_a_process_that_loads_images_and_dies_ends_the_run_with_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = base(
        data={"class_path": "tests.study.many.Deadly", "init_args": {"train": 4, "test": 2, "size": [32, 32]}}
    )
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values))
    assert main(["run", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "runs"), "--workers", "1"]) == 2
    line = capsys.readouterr().err
    assert re.fullmatch(
        r"tutelage: expected processes that load images to stay alive, found RuntimeError: DataLoader worker "
        r"\(pid.*\) (is killed by signal: Killed|exited unexpectedly).*; free memory .*, or lower train.workers\n",
        line,
    ), line
