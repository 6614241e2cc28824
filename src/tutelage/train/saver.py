"""When a run saves itself: by time, by steps, at its end, and when a signal asks it to stop."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tutelage.train.checkpoint import save_checkpoint
from tutelage.train.common_state import average_buffers
from tutelage.train.config import TrainConfig
from tutelage.train.signals import STOPPING, HeldSignals, Interrupted
from tutelage.train.streams import RunLength
from tutelage.train.training import Training
from tutelage.types import World


class Saver:
    """Saves checkpoints of a run; as a context manager, it holds signals back until the step is finished.

    SLURM preempts with SIGTERM, and Ctrl-C sends SIGINT. In the block the first of them stops the run after its current
    step (see `HeldSignals`). Several processes save, and stop, after the same step: each says in `wishes`, before a
    step, what it wants, and learns in `heed` what is done. The main one writes.

    Args:
        run: what is trained.
        path: of the checkpoint; None saves none.
        config: the time and the steps between two checkpoints.
        length: of the run.
        world: the processes that train together.
    """

    def __init__(
        self, run: Training, path: Path | None, config: TrainConfig, length: RunLength, world: World | None = None
    ) -> None:
        self.run, self.path, self.length, self.world = run, path, length, world or World()
        self.seconds, self.steps = config.checkpoint_seconds, config.checkpoint_steps
        self._began, self._saved = time.perf_counter() - run.seconds, time.perf_counter()
        self._signals = HeldSignals()
        self._stop: signal.Signals | None = None  # of several processes: what they agreed on
        self._due = False

    def __enter__(self) -> Self:
        self._signals.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._signals.__exit__(kind, error, at)
        received = self._signals.received
        if received is not None and error is None:  # after the last step
            if self.world.size > 1:  # too late to agree on it: it has the effect that it has outside of training
                signal.raise_signal(received)
            raise Interrupted(received, self.run.step)

    def wishes(self) -> list[int]:
        """What this process of several wants after the step that begins: to stop by each signal, and to save."""
        if self.world.size == 1:
            return []
        received = self._signals.received or self.world.asked_to_stop()
        due = self.world.main and time.perf_counter() - self._saved >= self.seconds
        return [*(int(received == number) for number in STOPPING), int(due)]

    def heed(self, wishes: Sequence[int]) -> None:
        """Learn how many of the processes want it."""
        if wishes:
            *signals, due = wishes
            self._stop = next((number for number, count in zip(STOPPING, signals, strict=True) if count), None)
            self._due = bool(due)

    def end_step(self) -> None:
        """After a step: save a checkpoint if one is due.

        Raises:
            NonFiniteError: A loss or a weight is not finite; nothing is saved.
            Interrupted: A signal has arrived.
        """
        now = time.perf_counter()
        self.run.seconds = now - self._began
        alone = self.world.size == 1
        stop = self._signals.received if alone else self._stop
        due = now - self._saved >= self.seconds if alone else self._due
        due |= self.run.step == self.length.steps or bool(self.run.stopped) or stop is not None
        due |= self.steps is not None and self.run.step % self.steps == 0
        if due and self.path is not None:
            self._save(self.path)
        if stop is not None:
            raise Interrupted(stop, self.run.step)

    def _save(self, path: Path) -> None:
        self.run.meter.merge(self.world)
        self.run.check_losses(self.length.per_epoch)
        self.run.check_weights()
        average_buffers(self.world, self.run.modules().values())
        if self.world.main:
            save_checkpoint(path, self.run.state_dict())
        self._saved = time.perf_counter()
