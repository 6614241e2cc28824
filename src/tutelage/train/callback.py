"""What a user may do between the steps of a run: look, log, and end it early."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lightning_fabric import Fabric

from tutelage.recorded import Recorded
from tutelage.train.best_epoch import Metrics
from tutelage.train.streams import RunLength
from tutelage.types import MultiTaskNet, World

if TYPE_CHECKING:
    from tutelage.train.training import Training


class Moment:
    """Where a run is, as a callback sees it; nothing in it may be changed.

    Attributes:
        folder: of the run, for what a callback writes; None: the run writes nothing.
        main: whether this is the process of the run that writes files.
    """

    def __init__(
        self, run: "Training", length: RunLength, fabric: Fabric, folder: Path | None = None, world: World | None = None
    ) -> None:
        self._run, self._length, self._fabric = run, length, fabric
        self.folder, self.main = folder, (world or World()).main

    @property
    def step(self) -> int:
        """Finished steps."""
        return self._run.step

    @property
    def steps(self) -> int:
        """Steps of the run, unless it ends early."""
        return self._length.steps

    @property
    def epoch(self) -> float:
        """Finished epochs."""
        return self._run.step / self._length.per_epoch

    @property
    def student(self) -> MultiTaskNet:
        """The network that would be evaluated and saved now: with `train.ema` the average."""
        return self._run.result

    @property
    def validation(self) -> Metrics:
        """{task: {metric: value}} on the part of train that `train.validation` holds out; {} before the first epoch."""
        return {} if self._run.best is None else self._run.best.latest

    @property
    def epochs_since_best(self) -> int:
        """How often the network was validated since the best epoch so far (`BestEpoch`)."""
        return 0 if self._run.best is None else self._run.best.since

    def log(self, values: Mapping[str, float]) -> None:
        """Add numbers to the log of the run: log.jsonl and TensorBoard."""
        self._fabric.log_dict(dict(values), self._run.step)

    def stop(self, reason: str) -> None:
        """End the run after this step, as if it had no more: its network is evaluated and saved."""
        self._run.stopped = self._run.stopped or reason


class Callback(Recorded):
    """The protocol of callbacks. A class of yours derives from this one and overrides what it needs.

    Every run of a study makes its own objects of `train.callbacks` and calls them in their order: the single-task
    networks and teachers of the study, too. Of several processes that train one network together (`train.devices`) each
    has its own, and `moment.main` says which of them may write files. Random numbers that a callback draws change
    nothing in the training.

    A run that was killed continues from its checkpoint, with the state that `state_dict` gave. It then ends as an
    undisturbed one would, if all that a callback decides follows from `moment` and from its state.

    Attributes:
        needs_validation: whether it reads `moment.validation`, for which `train.validation` must hold out a part.

    >>> class Stop(Callback):
    ...     def __init__(self, after: int) -> None:
    ...         self.after = after
    ...
    ...     def after_step(self, moment: Moment) -> None:
    ...         if moment.step >= self.after:
    ...             moment.stop(f"{self.after} steps are enough")
    """

    needs_validation: ClassVar[bool] = False

    def after_step(self, moment: Moment) -> None:
        """After every step: parameters and schedules are updated, no checkpoint is written yet."""

    def after_epoch(self, moment: Moment) -> None:
        """After `after_step` of the last step of an epoch, and of the run; `moment.validation` is that of this step."""

    def after_run(self, moment: Moment) -> None:
        """After the last step; with `train.keep: best` the student has the weights of the best epoch.

        It is called once more if the run is killed before its result is written.
        """

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: tensors, numbers, texts, and lists and dictionaries of them."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
