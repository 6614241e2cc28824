"""The base class of distillers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.recorded import Recorded
from tutelage.types.batch import Batch
from tutelage.types.network import Output
from tutelage.types.task import Task
from tutelage.types.terms import TermMap

Teach = Literal["own", "all"]


class Distiller(Recorded, nn.Module, ABC):
    """Adds the student's distance from its teachers, in adapted features or in predictions.

    It owns the teachers (frozen, always in eval mode, absent from `state_dict`) and the adaptors. Its terms have keys:
    the name of a teacher, or `teacher/task` for a term of one task of a teacher of several. By default there is one
    teacher per task, named after it.

    Attributes:
        uses_predictions: Whether it reads the student's predictions.
        teach: `own` if every teacher sees only the images with a label of one of its tasks; `all` if one sees images
            without, since a teacher needs no label.
    """

    supplied = ("student", "teachers", "example")
    uses_predictions = False
    teach: Teach = "all"

    @property
    def predicts_unlabelled(self) -> bool:
        """Whether it may read the student's prediction of a task of which a batch has no label."""
        return self.uses_predictions and self.teach == "all"

    def setup(self, tasks: Mapping[str, Task]) -> None:
        """Learn of the tasks; called once, before training."""

    def begin_step(self, progress: float, observed: bool) -> None:
        """Before every step: the part of the run that is done, in [0, 1), and whether `health` is read after it."""

    def calibrate(self, images: Callable[[tuple[str, ...] | None], Iterable[Tensor]]) -> None:
        """Estimate what is estimated once, before training.

        Args:
            images: `images(tasks)` gives batches of training images with a label of one of `tasks`; None: of all.
        """

    def teaches(self) -> Mapping[str, tuple[str, ...]]:
        """{key of a term: the tasks that it counts for}, in the order of the terms; a key that is absent is a task."""
        return {}

    def references(self) -> Mapping[str, str]:
        """{task: the key of a term that is the loss of another network on the labels of the task}.

        Such a term is no distance: no balancer weighs it, and its count is that of the task's loss.
        """
        return {}

    def networks(self) -> Iterable[nn.Module]:
        """The networks that it trains beside the student, as the student is trained; its `parameters()` have them."""
        return ()

    @abstractmethod
    def counts(self, batch: Batch) -> dict[str, int]:
        """{key: number of images of a batch that the term counts}; known without waiting for a GPU."""

    def __call__(self, batch: Batch | Tensor, output: Output) -> TermMap:
        """`forward` of a batch; of images [B, 3, H, W] alone, as of a batch without labels.

        Raises:
            UserError: What is given is neither, or teachers need the labels of a batch to choose their images.
        """
        if isinstance(batch, Tensor):
            if batch.ndim != 4 or batch.shape[1] != 3:
                raise UserError(f"images: expected [B, 3, H, W], found {list(batch.shape)}")
            if self.teach == "own":
                raise UserError(
                    f"images: expected a tutelage.types.Batch for {type(self).__name__}, since `teach: own` shows a "
                    'teacher the images with a label of its tasks, found images alone; give a Batch, or teach="all"'
                )
            batch = Batch(batch)
        if not isinstance(batch, Batch):
            raise UserError(f"images: expected a tensor or a tutelage.types.Batch, found {type(batch).__name__}")
        if not isinstance(output, Output):
            raise UserError(
                "output: expected the tutelage.types.Output of the student, a network with taps, found "
                f"{type(output).__name__}; wrap the student with tutelage.nets.TappedModule, or call the "
                "wrapper in place of what it wraps"
            )
        terms: TermMap = super().__call__(batch, output)
        return terms

    @abstractmethod
    def forward(self, batch: Batch, output: Output) -> TermMap:
        """{key: (sum over images of lambda_t d_t, number of images)}, computed in fp32 outside autocast.

        A term that counts no image of the batch is absent.
        """

    @abstractmethod
    def distances(self) -> dict[str, Tensor]:
        """{"key/tap": d without lambda, detached: the mean over the images since `begin_step`}: for the log."""

    def health(self) -> dict[str, Tensor]:
        """{"quantity/key/tap": value} of an observed step, for the log: what shows whether distillation works."""
        return {}
