"""One tiny study, trained once for all tests of this folder."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from tutelage.study import RunSpec, Study, load_study, plan, run_study
from tutelage.study.build import build_run
from tutelage.study.teachers import load_teacher
from tutelage.train import Streams, Training
from tutelage.types import MultiTaskNet

TINY = ["--epochs", "1", "--data.train", "16", "--data.test", "6", "--precision", "32-true"]


class Notes:
    """A display, and the observer of one run, that remembers."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int]] = []
        self.notes: list[str] = []
        self.steps = self.finished = 0

    def count(self, finished: int, of: int) -> None:
        self.finished = finished

    def run(self, name: str, index: int, of: int) -> "NotedRun":
        return NotedRun(self, name, index, of)

    def start(self, name: str, index: int, of: int, resumed: int) -> None:
        self.started.append((name, resumed))

    def begin(self, resumed: int) -> None:
        self.started.append(("", resumed))

    def finish(self, name: str, metrics: Mapping[str, Mapping[str, float]]) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, step: int, total: int) -> None:
        self.steps += 1

    def log(self, step: int, values: Mapping[str, float]) -> None: ...


class NotedRun:
    """One run of a study, for a display that remembers all of them in one place."""

    def __init__(self, notes: Notes, name: str, index: int, of: int) -> None:
        self.notes, self.name, self.index, self.of = notes, name, index, of
        self.step, self.log, self.note = notes.step, notes.log, notes.note

    def begin(self, resumed: int) -> None:
        self.notes.start(self.name, self.index, self.of, resumed)

    def finish(self, metrics: Mapping[str, Mapping[str, float]]) -> None:
        self.notes.finish(self.name, metrics)

    def stop(self) -> None: ...


def tiny(out: Path, *flags: str) -> Study:
    return load_study("rooms-tiny", [*TINY, "--out", str(out), *flags])


def overlaid(out: Path, text: str, *flags: str) -> Study:
    """The tiny study under an overlay of this text."""
    file = out.with_suffix(".yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return tiny(out, "--with", str(file), *flags)


def built(study: Study, spec: RunSpec, trained: bool = True) -> tuple[Training, Streams]:
    """A run of a study at its first step, on the CPU."""
    return build_run(spec, study.build(spec.config), study.folder, torch.device("cpu"), trained)


def teacher(study: Study, name: str) -> MultiTaskNet:
    """The teacher of that name in the first method of a study that learns from it."""
    spec, one = next((spec, t) for spec in plan(study.values) for t in spec.teachers if t.name == name)
    return load_teacher(spec, one, study.build(spec.config), study.folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict], Notes]:
    """Folder, rows and display of a finished study with all methods."""
    out, notes = tmp_path_factory.mktemp("study") / "runs", Notes()
    return out, run_study(tiny(out), notes), notes


@pytest.fixture
def singles(finished: tuple[Path, list[dict], Notes], tmp_path: Path) -> Path:
    """The folder of a study of which the single-task networks are trained, and nothing else."""
    shutil.copytree(finished[0] / "single", tmp_path / "runs/single")
    return tmp_path / "runs"
