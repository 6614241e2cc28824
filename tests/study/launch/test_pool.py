"""Runs side by side in worker processes: the same results, and what happens if one of them fails."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.study.conftest import Notes
from tests.study.launch.conftest import assert_equal, fragile

from tutelage.errors import UserError, user_code
from tutelage.study import Pool, Share, Study, run_study
from tutelage.study.start_method import process_context
from tutelage.study.store import locked
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


def test_two_jobs_give_the_bits_of_one_after_the_other(one_by_one: Study, tmp_path: Path) -> None:
    study, display = fragile(tmp_path, "runs"), Timed()
    rows = run_study(study, display, TWO)
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
    study = fragile(tmp_path, "runs", of=("depth",), how="tell", at=1)
    run_study(study, Notes(), Pool([Share(1, "91")]))
    told = json.loads((tmp_path / "how.json").read_text())
    given = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "91"}
    assert {name: told.get(name) for name in given} == given
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_the_others_are_finished_if_a_process_is_killed_and_the_same_command_continues(
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
    again = Timed()
    run_study(fragile(tmp_path, "runs", of=("depth",)), again, TWO)
    assert sorted(again.started) == [("kd4mtl, seed 0", 0), ("single depth, seed 0", 2)]
    assert_equal(study, one_by_one)


def test_a_segmentation_fault_is_a_defect(tmp_path: Path) -> None:
    study = fragile(tmp_path, "runs", of=("depth",), how="SIGSEGV")
    with pytest.raises(RuntimeError, match=r"^single depth, seed 0: its process was ended by SIGSEGV$"):
        run_study(study, Notes(), TWO)
    assert finished(study) == {"single/segmentation/seed0", "uniform/seed0"}


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


def test_a_run_that_another_process_holds_is_waited_for(tmp_path: Path, one_by_one: Study) -> None:
    study, said = fragile(tmp_path, "runs"), []
    lock = locked(study.folder / "single/depth/seed0")
    assert lock.__enter__()

    class Releases(Notes):
        def note(self, text: str) -> None:
            said.append(text)
            if text == "single depth, seed 0 is trained by another process":
                lock.__exit__(None, None, None)

    run_study(study, Releases(), TWO)
    assert len([text for text in said if "another process" in text]) == 1
    assert_equal(study, one_by_one)


SCRIPT = """
import sys
from pathlib import Path
from tests.study.launch.conftest import fragile
from tutelage.cli import main

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    fragile(folder, "runs")
    sys.exit(main(["run", str(folder / "runs.yaml"), *sys.argv[2:], "--out", str(folder / "runs")]))
"""
LONG = ["--epochs", "400", "--data.train", "24", "--data.test", "4", "--precision", "32-true", "--methods", "single"]


def start(folder: Path) -> tuple[subprocess.Popen[str], list[Path]]:
    """The command with two jobs, both of which have saved a checkpoint, and the folders of their runs."""
    (folder / "script.py").write_text(SCRIPT)
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, str(folder / "script.py"), str(folder), *LONG, "--jobs", "2", "--checkpoint-steps", "1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"},
    )  # fmt: skip
    runs = [folder / f"runs/single/{t}/seed0" for t in ("segmentation", "depth")]
    while not all((run / "checkpoint.pt").exists() for run in runs):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process, runs


@pytest.mark.parametrize(
    ("send", "number", "status"),
    [
        (os.killpg, signal.SIGTERM, 143),  # a batch system sends it to all processes
        (os.kill, signal.SIGINT, 130),
    ],
)
def test_a_signal_lets_every_run_save_itself(
    tmp_path: Path, send: Callable[[int, int], None], number: signal.Signals, status: int
) -> None:
    process, _ = start(tmp_path)
    send(process.pid, number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == status, errors
    (line,) = errors.strip().splitlines()
    assert line.startswith(f"tutelage: stopped by {number.name}; saved: single ")
    assert line.count("after step ") == 2
    assert line.endswith("; the same command continues from the last checkpoint")


def test_runs_do_not_outlive_the_command(tmp_path: Path) -> None:
    process, runs = start(tmp_path)
    process.kill()
    process.communicate(timeout=120)  # they have its stderr, too
    for run in runs:  # the lock of a folder ends with its process
        with locked(run, wait=True) as held:
            assert held
        assert not (run / "result.json").exists()
