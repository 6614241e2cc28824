"""Who executes which run of a study, where, and when."""

from collections.abc import Sequence
from typing import Any

from tutelage.files import write_shared
from tutelage.study.config import Study
from tutelage.study.launch.base import Display, Launcher, RunDisplay
from tutelage.study.launch.local import InProcess
from tutelage.study.launch.pool import Pool
from tutelage.study.launch.ready import Ready, make_ready
from tutelage.study.launch.share import Share, shares
from tutelage.study.plan import RunSpec
from tutelage.study.results import write_results
from tutelage.values import dump_yaml

__all__ = [
    "Display",
    "InProcess",
    "Launcher",
    "Pool",
    "Ready",
    "RunDisplay",
    "Share",
    "run_study",
    "shares",
]


def run_study(
    study: Study, display: Display, launcher: Launcher | None = None, specs: Sequence[RunSpec] | None = None
) -> list[dict[str, Any]]:
    """Train what is not finished, teachers first, and write results.json after every run.

    Several processes may run the same study in the same folder. What is finished is never repeated.

    Args:
        study: to run.
        display: is told how far it is.
        launcher: who executes the runs; by default this process, one after the other. With
            `Pool(shares(study.objects.train, 4))` four processes train side by side; a script then needs
            `if __name__ == "__main__":`.

        specs: its runs; by default those that its values plan.

    Returns:
        The rows of results.json.

    Raises:
        UserError: something does not fit; found before anything is trained, as far as possible.
    """
    ready = make_ready(study, display.note, specs)
    write_shared(study.folder / "study.yaml", dump_yaml(study.values))
    (launcher or InProcess()).launch(ready, display)
    ready.check_all()
    return write_results(study, ready.base)
