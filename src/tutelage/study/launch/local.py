"""Processes that share a folder: each takes the next run that is ready and that no other process holds."""

from collections.abc import Mapping
from typing import Any, Protocol

import yaml

from tutelage.study.config import Study
from tutelage.study.execute import execute
from tutelage.study.launch.ready import Ready, make_ready
from tutelage.study.plan import RunSpec
from tutelage.study.results import write_results
from tutelage.study.store import Patience, is_finished, locked, write_shared
from tutelage.train import Observer


class Display(Observer, Protocol):
    """Who watches a study."""

    def start(self, name: str, index: int, of: int, resumed: int) -> None:
        """A run begins, or continues after `resumed` steps."""

    def finish(self, name: str, metrics: Mapping[str, Mapping[str, float | None]]) -> None:
        """A run ended with these metrics."""

    def note(self, text: str) -> None:
        """One line to the user."""


class _Watched:
    """One run of a study, for its display."""

    def __init__(self, display: Display, name: str, index: int, of: int) -> None:
        self.display, self.name, self.index, self.of = display, name, index, of
        self.step, self.log, self.note = display.step, display.log, display.note

    def begin(self, resumed: int) -> None:
        """The run begins."""
        self.display.start(self.name, self.index, self.of, resumed)


def run_study(study: Study, display: Display) -> list[dict[str, Any]]:
    """Train what is not finished, teachers first, and write results.json after every run.

    Several processes may run the same study in the same folder. What is finished is never repeated.

    Returns:
        The rows of results.json.

    Raises:
        UserError: something does not fit; found before anything is trained, as far as possible.
    """
    ready = make_ready(study, display.note)
    write_shared(study.folder / "study.yaml", yaml.safe_dump(dict(study.values), sort_keys=False))
    unfinished, patience = ready.unfinished, Patience(display.note)
    while unfinished:
        ready.check([spec for spec in unfinished if ready.is_finished(spec)])  # by another process, with its values
        unfinished = [spec for spec in unfinished if not ready.is_finished(spec)]
        write_results(study)
        if not unfinished:
            break
        if not execute_next(study, unfinished, ready, display):
            patience.wait(f"waits for {unfinished[0].label}, which another process trains")
    ready.check_all()
    return write_results(study)


def execute_next(study: Study, unfinished: list[RunSpec], ready: Ready, display: Display) -> bool:
    """Execute the first run whose needs are finished and that no other process holds; False where there is none."""
    for spec in unfinished:
        if not all(is_finished(study.folder / need) for need in spec.needs):
            continue
        with locked(study.folder / spec.id) as held:
            if held and not ready.is_finished(spec):
                index = ready.specs.index(spec)
                watched = _Watched(display, spec.label, index, len(ready.specs))
                result = execute(spec, study.folder, watched, study.build)
                display.finish(spec.label, result["metrics"]["dataset"])
            if held:
                return True
    return False
