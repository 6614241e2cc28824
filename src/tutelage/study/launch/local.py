"""The calling process executes one run after the other."""

from tutelage.files import locked
from tutelage.study.execute import execute
from tutelage.study.launch.base import Display
from tutelage.study.launch.ready import Ready
from tutelage.study.store import Patience


class InProcess:
    """Executes runs in this process, one after the other, in the order of the plan; the first error ends the study.

    Several processes may do so with one folder: each takes the next run that is ready and that no other process holds.
    """

    def launch(self, ready: Ready, display: Display) -> None:
        """Execute every run without a result."""
        patience = Patience(display.note)
        while unfinished := ready.refresh(display.count):
            if not execute_next(ready, display):
                patience.wait(f"waits for {unfinished[0].label}, which another process trains")


def execute_next(ready: Ready, display: Display) -> bool:
    """Execute the first run whose needs are finished and that no other process holds; False where there is none."""
    for spec in ready.unfinished:
        if not ready.is_possible(spec):
            continue
        with locked(ready.study.folder / spec.id) as held:
            if held and not ready.is_finished(spec):
                watched = display.run(spec.label, ready.specs.index(spec), len(ready.specs))
                try:
                    result = execute(spec, ready.study.folder, watched, ready.study.build)
                except BaseException:  # Ctrl-C, too: it goes on, and the run is no longer shown
                    watched.stop()
                    raise
                watched.finish(result["metrics"]["dataset"])
            if held:
                return True
    return False
