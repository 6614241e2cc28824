"""When a run saves itself: by time, by steps, at its end, and when a signal asks it to stop."""

import signal
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from tutelage.train.checkpoint import save_checkpoint
from tutelage.train.config import TrainConfig
from tutelage.train.streams import RunLength
from tutelage.train.training import Training

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SAME = 1.0  # seconds in which a second signal is the first once more: a batch system and a launcher may both send it


class Interrupted(KeyboardInterrupt):
    """A signal stopped the training between two steps, after a checkpoint was saved (where one was asked for).

    Like the KeyboardInterrupt that it is, it passes every `except Exception`.

    Attributes:
        signal: SIGTERM or SIGINT.
        step: the last step that was finished.
    """

    def __init__(self, signal: signal.Signals, step: int) -> None:
        super().__init__(f"stopped by {signal.name} after step {step}")
        self.signal, self.step = signal, step

    @property
    def line(self) -> str:
        """What a person is told."""
        return f"{self}, which is saved"


class Saver:
    """Saves checkpoints of a run; as a context manager, it holds signals back until the step is finished.

    SLURM preempts with SIGTERM, and Ctrl-C sends SIGINT. In the block the first of them stops the run after its current
    step; one that comes over a second later has its former effect, which by default ends the process at once. Only the
    main thread can receive signals: in any other nothing is held back, nor is a signal that the process ignores.

    Args:
        run: what is trained.
        path: of the checkpoint; None saves none.
        config: the time and the steps between two checkpoints.
        length: of the run.
    """

    def __init__(self, run: Training, path: Path | None, config: TrainConfig, length: RunLength) -> None:
        self.run, self.path, self.length = run, path, length
        self.seconds, self.steps = config.checkpoint_seconds, config.checkpoint_steps
        self._began, self._saved = time.perf_counter() - run.seconds, time.perf_counter()
        self._received: signal.Signals | None = None
        self._received_at = 0.0
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                # None: a handler that was not set from Python and so cannot be restored
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._former[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._restore()
        if self._received is not None and error is None:  # after the last step
            raise Interrupted(self._received, self.run.step)

    def end_step(self) -> None:
        """After a step: save a checkpoint if one is due.

        Raises:
            NonFiniteError: A loss or a weight is not finite; nothing is saved.
            Interrupted: A signal has arrived.
        """
        now = time.perf_counter()
        self.run.seconds = now - self._began
        due = now - self._saved >= self.seconds or self.run.step == self.length.steps or self._received is not None
        due |= self.steps is not None and self.run.step % self.steps == 0
        if due and self.path is not None:
            self.run.check_losses(self.length.per_epoch)
            self.run.check_weights()
            save_checkpoint(self.path, self.run.state_dict())
            self._saved = time.perf_counter()
        if self._received is not None:
            raise Interrupted(self._received, self.run.step)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received is None:
            self._received, self._received_at = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self._received_at >= _SAME:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former = {}
