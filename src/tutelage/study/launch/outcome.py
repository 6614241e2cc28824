"""What becomes of a run in another process, in a form that can be sent."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tutelage.errors import Elsewhere, chain, one_line, portable
from tutelage.files import locked
from tutelage.study.config import Builder
from tutelage.study.execute import execute
from tutelage.study.observers import RunObserver
from tutelage.study.plan import RunSpec
from tutelage.study.store import read_record
from tutelage.train import Interrupted


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        state: `finished`; `taken`: another process holds its folder; `stopped` by a signal; `failed`.
        metrics: of a finished run, by task.
        step: the last step of a stopped run that is saved; None: none was taken.
        error: of a failed run.
        detail: the error's traceback.
    """

    state: Literal["finished", "taken", "stopped", "failed"]
    metrics: Mapping[str, Mapping[str, float | None]] | None = None
    step: int | None = None
    error: BaseException | None = None
    detail: Elsewhere | None = None

    def raised(self) -> BaseException:
        """The error, as it would have left this process."""
        assert self.error is not None
        self.error.__cause__ = self.detail  # a pickled error has lost it
        return self.error


def attempt(spec: RunSpec, folder: Path, observer: RunObserver, build: Builder, wait: bool = False) -> Outcome:
    """Execute a run for somebody in another process.

    Args:
        spec: the run; what it needs is finished.
        folder: of the study.
        observer: is told how far it is.
        build: builds the objects of its config.
        wait: wait for another process that holds the folder.
    """
    place = folder / spec.id
    try:
        with locked(place, wait) as held:
            if not held:
                return Outcome("taken")
            if (place / "result.json").exists():  # since it was looked
                result = read_record(place / "result.json", "metrics")
            else:
                result = execute(spec, folder, observer, build)
            return Outcome("finished", result["metrics"]["dataset"])
    except KeyboardInterrupt as error:
        return Outcome("stopped", step=next((e.step for e in chain(error) if isinstance(e, Interrupted)), None))
    except Exception as error:  # of any kind: it is raised where the study was started
        return failed(error)


def failure(spec: RunSpec, error: BaseException, lost: Collection[RunSpec]) -> str:
    """The line on a run that failed, while others go on.

    Args:
        spec: the run.
        error: why.
        lost: the runs that need it, and so are left out.
    """
    without = f", without {' and '.join(other.label for other in lost)}, too" if lost else ""
    return f"{spec.label} failed: {one_line(error)}; the study goes on without it{without}"


def failed(error: Exception) -> Outcome:
    """The outcome of a run that raised an error."""
    return Outcome("failed", error=portable(error), detail=Elsewhere.of(error))
