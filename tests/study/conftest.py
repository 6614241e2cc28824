"""One tiny study, trained once for all tests of the room."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tutelage.study import Study, load_study, run_study

TINY = ["--epochs", "1", "--data.train", "16", "--data.test", "6", "--precision", "32-true"]


class Notes:
    """A display that remembers."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int]] = []
        self.notes: list[str] = []
        self.steps = 0

    def start(self, name: str, index: int, of: int, resumed: int) -> None:
        self.started.append((name, resumed))

    def finish(self, name: str, metrics: Mapping[str, Mapping[str, float]]) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, step: int, total: int) -> None:
        self.steps += 1

    def log(self, step: int, values: Mapping[str, float]) -> None: ...


def tiny(out: Path, *flags: str) -> Study:
    return load_study("rooms-tiny", [*TINY, "--out", str(out), *flags])


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict], Notes]:
    """Folder, rows and display of a finished study with all methods."""
    out, notes = tmp_path_factory.mktemp("study") / "runs", Notes()
    return out, run_study(tiny(out), notes), notes
