"""Runs of a study that several processes train together: on this machine, or as torchrun starts them."""

import contextlib
import io
import json
import os
import signal
import socket
import warnings
from pathlib import Path

import pytest
from tests.study.conftest import Notes, tiny
from tests.study.fragile import context

from tutelage.errors import UserError
from tutelage.study import RunSpec, Study, execute, plan
from tutelage.study.launch.ready import make_ready
from tutelage.train import Interrupted
from tutelage.types import Balancer

FLAGS = ("--methods", "uniform", "--epochs", "4", "--batch-size", "4", "--checkpoint-steps", "1", "--log-steps", "1")


def single(study: Study) -> RunSpec:
    return plan(study.values)[0]


class Stops(Notes):
    """Asks the run to stop after its first step."""

    def step(self, step: int, total: int) -> None:
        super().step(step, total)
        if step == 1:
            signal.raise_signal(signal.SIGINT)


def test_two_processes_stop_and_one_continues(tmp_path: Path) -> None:
    study = tiny(tmp_path, *FLAGS, "--devices", "2")
    spec = single(study)
    folder = study.folder / spec.id
    with pytest.raises(Interrupted, match="stopped by SIGINT") as stopped:
        execute(spec, study.folder, Stops())
    assert not (folder / "result.json").exists()
    assert json.loads((folder / "environment.json").read_text())["processes"] == [2]
    alone = tiny(tmp_path, *FLAGS)
    notes = Notes()
    result = execute(single(alone), alone.folder, notes)
    assert notes.started == [("", stopped.value.step)]
    assert result["steps"] == 16
    steps = [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert sorted(set(steps)) == list(range(1, 17))
    assert json.loads((folder / "environment.json").read_text())["processes"] == [2, 1]


def test_one_begins_and_two_end(tmp_path: Path) -> None:
    one = tiny(tmp_path, *FLAGS)
    with pytest.raises(Interrupted):
        execute(single(one), one.folder, Stops())
    two, notes = tiny(tmp_path, *FLAGS, "--devices", "2"), Notes()
    result = execute(single(two), two.folder, notes)
    assert notes.started == [("", 1)]
    assert result["steps"] == 16
    assert all(value is not None for values in result["metrics"]["dataset"].values() for value in values.values())
    assert (two.folder / single(two).id / "predictions.safetensors").exists()


def launched(rank: int, size: int, port: int, words: list[str], report: Path) -> None:
    """The command as torchrun starts it."""
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test", "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    os.environ.pop("TUTELAGE_JOBS", None)  # what a user has
    warnings.simplefilter("error")
    from tutelage.cli import main

    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        status = main(words)
    found = {"status": status, "said": said.getvalue(), "complained": complained.getvalue()}
    (report / f"{rank}.json").write_text(json.dumps(found))


def launch(report: Path, *words: str) -> list[dict[str, str | int]]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    arguments = [(rank, 2, port, list(words), report) for rank in range(2)]
    processes = [context.Process(target=launched, args=of_one) for of_one in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        process.kill()
    return [json.loads((report / f"{rank}.json").read_text()) for rank in range(2)]


def test_torchrun(tmp_path: Path) -> None:
    """The main process plans, writes and prints; the other computes its share."""
    out = tmp_path / "runs"
    flags = ("--epochs", "1", "--data.train", "16", "--data.test", "5", "--precision", "32-true", "--methods", "kd4mtl")
    main, other = launch(tmp_path, "run", "rooms-tiny", *flags, "--batch-size", "4", "--out", str(out))
    assert (main["status"], other["status"]) == (0, 0), (main, other)
    assert "results   " in str(main["said"])
    assert "batch norm takes the statistics of the images of each process" in str(main["said"])
    assert (other["said"], other["complained"]) == ("", "")
    assert "kd4mtl" in (out / "results.json").read_text()
    facts = json.loads((out / "kd4mtl" / "seed0" / "environment.json").read_text())
    assert facts["processes"] == [2]


def test_a_mistake_ends_all(tmp_path: Path) -> None:
    main, other = launch(tmp_path, "run", "rooms-tiny", "--batch-size", "1", "--out", str(tmp_path / "runs"))
    assert main["status"] == 2
    assert "expected an image or more for each of the 2 processes, found 1" in str(main["complained"])
    assert (other["status"], other["complained"]) == (0, "")


@pytest.mark.parametrize(
    ("flag", "value", "found"), [("--jobs", "2", "2 jobs"), ("--launcher", "ray", "--launcher ray")]
)
def test_runs_side_by_side_are_refused(flag: str, value: str, found: str, tmp_path: Path) -> None:
    main, other = launch(tmp_path, "run", "rooms-tiny", flag, value, "--out", str(tmp_path / "runs"))
    assert main["status"] == 2
    assert f"in the 2 processes that torchrun or SLURM started, found {found}; leave it out" in str(main["complained"])
    assert (other["status"], other["complained"]) == (0, "")


class Alone(Balancer):
    def backward(self, terms, outputs, net, reduce):
        raise AssertionError


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--devices", "3", "--batch-size", "2"], "train.devices: expected 1 or more, and no more than the 2 images"),
        (["--devices", "2", "--official-quirks", "true"], "train.official_quirks: expected false with 2 processes"),
        (["--devices", "2", "--train.compile", "true"], "train.compile: expected false with 2 processes"),
        (
            ["--devices", "2", "--method.uniform.balancer", f"{__name__}.Alone"],
            "expected a balancer for 2 processes, which adds over them what it reads, found Alone",
        ),
    ],
)
def test_what_several_processes_cannot_compute_is_refused(flags: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        ready(tmp_path, flags)


def ready(out: Path, flags: list[str]) -> None:
    make_ready(tiny(out, *FLAGS, *flags), Notes().note)
