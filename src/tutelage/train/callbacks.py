"""What follows a step for the user: validation after an epoch, and the callbacks."""

from collections.abc import Callable
from math import isfinite
from pathlib import Path

from lightning_fabric import Fabric

from tutelage.train.best_epoch import BestEpoch, Metrics
from tutelage.train.callback import Moment
from tutelage.train.streams import RunLength
from tutelage.train.training import Training
from tutelage.types import World


class Callbacks:
    """Validates a run after its epochs, and calls its callbacks.

    Args:
        run: what is trained.
        length: of the run.
        fabric: has the loggers.
        measure: gives the metrics on the validation part; None: there is none.
        folder: of the run.
        world: the processes that train together.
    """

    def __init__(
        self,
        run: Training,
        length: RunLength,
        fabric: Fabric,
        measure: Callable[[], Metrics] | None = None,
        folder: Path | None = None,
        world: World | None = None,
    ) -> None:
        self.run, self.length, self.fabric, self.measure, self.world = run, length, fabric, measure, world or World()
        self.moment = Moment(run, length, fabric, folder, world)

    def end_step(self) -> None:
        """After a step: validate if an epoch has ended, call the callbacks, and agree on whether the run ends."""
        run = self.run
        ended = run.step % self.length.per_epoch == 0 or run.step == self.length.steps
        if ended and run.best is not None and self.measure is not None:
            self._validate(run.best, self.measure())
        for callback in run.callbacks:
            callback.after_step(self.moment)
        for callback in run.callbacks if ended else ():
            callback.after_epoch(self.moment)
        if run.callbacks:
            run.stopped = next((reason for reason in self.world.gather(run.stopped) if reason), "")

    def end_run(self) -> None:
        """After the last step."""
        for callback in self.run.callbacks:
            callback.after_run(self.moment)

    def _validate(self, best: BestEpoch, metrics: Metrics) -> None:
        best.end_epoch(metrics, self.run.step, self.run.result.state_dict())
        values = {f"validation/{t}/{name}": x for t, of_task in metrics.items() for name, x in of_task.items()}
        self.moment.log({"epoch": self.moment.epoch, **{name: x for name, x in values.items() if isfinite(x)}})
