"""Runs side by side in worker processes: the same results, and what happens if one of them fails."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tests.study.conftest import Notes
from tests.study.launch.conftest import TASKS, assert_equal, fragile, written

from tutelage.cli import main
from tutelage.errors import UserError, user_code
from tutelage.files import locked
from tutelage.study import Pool, Share, Study, run_study
from tutelage.study.start_method import process_context, take_signals
from tutelage.train import NonFiniteError

TWO = Pool([Share(1), Share(1)])


class Timed(Notes):
    """A display that knows which runs went on at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.running, self.most, self.order = set[str](), 0, list[str]()

    def start(self, name: str, index: int, of: int, resumed: int) -> None:
        super().start(name, index, of, resumed)
        self.running.add(name)
        self.most = max(self.most, len(self.running))

    def finish(self, name: str, metrics: Mapping[str, Mapping[str, float]]) -> None:
        self.running.remove(name)
        self.order.append(name)


def finished(study: Study) -> set[str]:
    return {path.parent.relative_to(study.folder).as_posix() for path in study.folder.glob("**/result.json")}


def test_two_jobs_give_the_bits_of_one_after_the_other_and_wait_for_a_run_of_another_process(
    one_by_one: Study, tmp_path: Path
) -> None:
    study, said = fragile(tmp_path, "runs"), []
    lock = locked(study.folder / "single/depth/seed0")
    assert lock.__enter__()

    class Releases(Timed):
        def note(self, text: str) -> None:
            said.append(text)
            if text == "single depth, seed 0 is trained by another process":
                lock.__exit__(None, None, None)

    display = Releases()
    rows = run_study(study, display, TWO)
    assert len([text for text in said if "another process" in text]) == 1
    assert_equal(study, one_by_one)
    assert rows == json.loads((study.folder / "results.json").read_text())["rows"]
    assert display.most == 2
    assert display.order.index("kd4mtl, seed 0") > display.order.index("single depth, seed 0")
    assert display.finished == 4
    assert display.steps >= 4  # the last of every run, at least
    facts = json.loads((study.folder / "uniform/seed0/environment.json").read_text())
    assert facts["threads"] == 1


def test_a_process_has_the_variables_of_now_and_of_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process_context()  # what the process is forked from has those of before
    monkeypatch.setenv("TUTELAGE_NEW", "1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    study = fragile(tmp_path, "runs", "--epochs", "1", "--data.train", "4", of=("depth",), how="tell", at=1)
    run_study(study, Notes(), Pool([Share(1, "91")]))
    told = json.loads((tmp_path / "how.json").read_text())
    given = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "91"}
    assert {name: told.get(name) for name in given} == given
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_the_others_are_finished_if_a_process_dies_and_the_same_command_continues(
    one_by_one: Study, tmp_path: Path
) -> None:
    study, display = fragile(tmp_path, "runs", of=("depth",), how="SIGKILL"), Timed()
    with pytest.raises(UserError) as error:
        run_study(study, display, TWO)
    line = (
        "single depth, seed 0: expected its process to go on, found it killed by SIGKILL (the system does so when "
        "memory is short: then lower --jobs); give the same command again: it continues from the last checkpoint"
    )
    assert str(error.value) == line
    assert f"single depth, seed 0 failed: {line}; the study goes on without it, without kd4mtl, seed 0, too" in (
        display.notes
    )
    assert finished(study) == {"single/segmentation/seed0", "uniform/seed0"}
    (tmp_path / "how").write_text("SIGSEGV")  # a defect
    again = Timed()
    with pytest.raises(RuntimeError, match=r"^single depth, seed 0: its process was ended by SIGSEGV$"):
        run_study(study, again, TWO)
    assert again.started == [("single depth, seed 0", 2)]
    last = Timed()
    run_study(study, last, TWO)
    assert last.started == [("single depth, seed 0", 4), ("kd4mtl, seed 0", 0)]
    assert_equal(study, one_by_one)


def test_a_run_that_diverges_or_breaks_stops_only_what_needs_it(tmp_path: Path, one_by_one: Study) -> None:
    study = fragile(tmp_path, "runs", of=("depth", "segmentation"), how="diverge")
    with pytest.raises(NonFiniteError, match=r"^(uniform|kd4mtl), seed 0: .* step 3") as error:
        run_study(study, Notes(), TWO)
    assert "\n" not in str(error.value)
    assert len(finished(study)) == 3  # of four
    (tmp_path / "how").write_text("raise")
    with pytest.raises(ZeroDivisionError, match=r"^in the user's network$") as broken:
        run_study(study, Notes(), TWO)
    cause = broken.value.__cause__  # the traceback of the other process
    assert cause is not None
    assert str(user_code(cause)).endswith(" in forward")
    run_study(study, Notes(), TWO)
    assert_equal(study, one_by_one)


LONG = ["--epochs", "400", "--data.train", "12", "--data.test", "4", "--precision", "32-true", "--methods", "single",
        "--jobs", "2", "--checkpoint-steps", "1"]  # fmt: skip


def begun(folder: Path) -> bool:
    """Whether both runs of the command have saved a checkpoint."""
    return all((folder / f"runs/single/{t}/seed0/checkpoint.pt").exists() for t in TASKS)


def long_command(folder: Path) -> list[str]:
    return ["run", str(written(folder, "runs")), *LONG, "--out", str(folder / "runs")]


def command(words: list[str], errors: Path) -> None:
    """`tutelage WORDS` in a forked process, the head of a group; its complaints go to a file."""
    os.setsid()
    take_signals()
    with errors.open("w") as sys.stderr, open(os.devnull, "w") as sys.stdout:
        status = main(words)
    os._exit(status)


def start(folder: Path) -> BaseProcess:
    """The command with two jobs, both of which have saved a checkpoint."""
    process: BaseProcess = process_context().Process(target=command, args=(long_command(folder), folder / "errors"))
    process.start()
    while not begun(folder):
        assert process.is_alive(), (folder / "errors").read_text()
        time.sleep(0.05)
    return process


def assert_saved(errors: str, number: signal.Signals) -> None:
    (line,) = errors.strip().splitlines()
    assert line.startswith(f"tutelage: stopped by {number.name}; saved: single ")
    assert line.count("after step ") == 2
    assert line.endswith("; the same command continues from the last checkpoint")


def test_a_signal_to_all_processes_lets_every_run_save_itself(tmp_path: Path) -> None:
    """A batch system sends it."""
    process = start(tmp_path)
    assert process.pid is not None
    os.killpg(process.pid, signal.SIGTERM)
    process.join(120)
    errors = (tmp_path / "errors").read_text()
    assert process.exitcode == 143, errors
    assert_saved(errors, signal.SIGTERM)


def test_a_signal_to_the_command_alone_lets_every_run_save_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        while not begun(tmp_path):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt, daemon=True)
    sender.start()
    assert main(long_command(tmp_path)) == 130
    sender.join()
    assert_saved(capsys.readouterr().err, signal.SIGINT)


def test_runs_do_not_outlive_the_command(tmp_path: Path) -> None:
    process = start(tmp_path)
    process.kill()
    process.join(120)
    for run in (tmp_path / f"runs/single/{t}/seed0" for t in TASKS):  # the lock of a folder ends with its process
        with locked(run, wait=True) as held:
            assert held
        assert not (run / "result.json").exists()
