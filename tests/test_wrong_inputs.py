"""What people get wrong: each is one line with key or file, expectation and finding, before anything is trained."""

import pickle
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml
from tests.study.conftest import Notes
from tests.wrong import LABELS, Make, base, evil, flags, holding, images, nothing, runs
from tests.wrong_data import CHECKPOINT, DATA, RUNS, UNFINISHED
from tests.wrong_prepare import PREPARE
from tests.wrong_sources import SOURCES, hidden, mix
from tests.wrong_studies import STUDIES

from tutelage.cli import main
from tutelage.study import load_study, run_study

CASES = {**STUDIES, **DATA, **RUNS, **PREPARE, **SOURCES}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study, with study.yaml and runs/."""
    folder = tmp_path_factory.mktemp("finished")
    file = folder / "study.yaml"
    tasks = {t: task for t, task in base()["tasks"].items() if t == "depth"}
    values = base(tasks=tasks, methods=["url"])
    values["train"]["keep_checkpoint"] = True
    file.write_text(yaml.safe_dump(values))
    run_study(load_study(file, ["--out", str(folder / "runs")]), Notes())
    return folder


@pytest.fixture(autouse=True)
def never_trains(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, finished: Path) -> None:
    monkeypatch.setattr(sys.modules["tutelage.study.execute"], "fit", lambda *_: pytest.fail("something was trained"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)


def line_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command says before it stops with status 2."""
    try:
        status: object = main(arguments)
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2, error
    assert error.startswith("tutelage: ")
    assert error.endswith("\n")
    assert error.count("\n") == 1
    assert len(error) < 500
    assert re.search(r"\bexpected\b", error)
    assert re.search(r"\bfound\b", error, re.IGNORECASE)
    return error.rstrip("\n")


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_input_is_one_line(
    name: str, tmp_path: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, line = CASES[name]
    assert re.search(line, line_of(make(tmp_path, finished), capsys))
    assert not (tmp_path / "executed").exists()


def test_there_are_fifty_kinds() -> None:
    assert len(CASES) == sum(map(len, (STUDIES, DATA, RUNS, PREPARE, SOURCES))) >= 50


@pytest.mark.parametrize(
    "make",
    [
        flags(),
        images(nothing),
        images(nothing, npy=True),
        images(nothing, labels=LABELS),
        mix(),
        hidden("--batch-size", "2", keep={"depth": 0.5}),
    ],
)
def test_without_what_is_wrong_they_would_be_trained(make: Make, tmp_path: Path, finished: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="something was trained"):
        main(make(tmp_path, finished))


def test_the_finished_study_is_right(tmp_path: Path, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(runs()(tmp_path, finished)) == 0
    assert main(runs(report=True)(tmp_path, finished)) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["environment.json", "log.jsonl", "predictions.safetensors"])
def test_what_a_page_can_do_without_may_be_damaged(
    name: str, tmp_path: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(runs(holding(f"url/seed0/{name}", "{"), report=True)(tmp_path, finished)) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_not_run(
    zipped: bool, tmp_path: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = runs(UNFINISHED, evil(CHECKPOINT, zipped))(tmp_path, finished)
    line = line_of(arguments, capsys)
    assert re.search(r"checkpoint.pt: expected a checkpoint of tutelage, found .*; delete it", line)
    assert not Path("executed").exists()
    path = tmp_path / "runs" / CHECKPOINT
    torch.load(path, weights_only=False) if zipped else pickle.loads(path.read_bytes())
    assert Path("executed").exists()  # it would have been
