"""The base class of distillers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from torch import Tensor, nn

from tutelage.types.batch import Batch
from tutelage.types.network import Output
from tutelage.types.task import Task
from tutelage.types.terms import TermMap

Teach = Literal["own", "all"]


class Distiller(nn.Module, ABC):
    """Adds, per task, how far the student is from the teacher: its adapted features or its predictions.

    It owns the teachers (frozen, always in eval mode, absent from `state_dict`) and the adaptors.

    Attributes:
        teach: Which images the teacher of a task sees: `all`, since a teacher needs no label, or its `own`, those with
            a label of its task.
        uses_predictions: Whether it reads the student's predictions of every image that a teacher sees.
    """

    uses_predictions = False
    teach: Teach = "all"

    def setup(self, tasks: Mapping[str, Task]) -> None:
        """Receive the tasks; called once, before training."""

    def begin_step(self, progress: float, observed: bool) -> None:
        """Called before every step.

        Args:
            progress: the part of the run that is done, in [0, 1).
            observed: whether `health` is read after the step.
        """

    def calibrate(self, images: Callable[[str], Iterable[Tensor]]) -> None:
        """Estimate the constants of the run, once, before training: `images(task)` yields batches that the task's
        teacher sees."""

    @abstractmethod
    def counts(self, batch: Batch) -> dict[str, int]:
        """How many images of a batch the term of each task counts; computed on the host."""

    @abstractmethod
    def forward(self, batch: Batch, output: Output) -> TermMap:
        """{task: (sum over images of lambda_t d_t, number of images)}, computed in fp32 outside autocast.

        It leaves out a task whose teacher sees no image of the batch.
        """

    @abstractmethod
    def distances(self) -> dict[str, Tensor]:
        """{"task/tap": d without lambda, detached: the mean over the images since `begin_step`}, for the log."""

    def health(self) -> dict[str, Tensor]:
        """{"quantity/task/tap": value} of an observed step, for the log: what shows that distillation works."""
        return {}
