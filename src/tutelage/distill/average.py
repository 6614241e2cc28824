"""The student's own moving average as a teacher."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Self

import torch
from torch import Tensor, nn

from tutelage.distill.sum_distiller import MakeDistiller
from tutelage.distill.teachers import Teacher
from tutelage.errors import UserError
from tutelage.types import Batch, Distiller, MultiTaskNet, Output, Task, TermMap

AVERAGE = "average"  # the teacher's name


class AverageDistiller(Distiller):
    """Any distiller, with the moving average of the student as its one teacher, of all tasks (mean teacher).

    theta' <- a theta' + (1 - a) theta before step n = 0, 1, ...,   a = min(decay, n / (n + 9))

    where theta are the parameters of the student and, taken as they are, its buffers. The average runs in eval mode on
    the same views as the student, but without `train.distort`. The two differ by this, by the average, by dropout, and
    by batch norm. It is part of `state_dict`, and never cached. Together with other teachers it is a part of a
    `SumDistiller`.

    Source: Tarvainen and Valpola, "Mean Teachers are Better Role Models", NeurIPS 2017 (arXiv:1703.01780): its first
    steps have a faster average, too. Differs: there the teacher sees a noisy view of its own, in training mode, and the
    distance grows in the first epochs; here `schedule` and weights are those of the distiller.

    Args:
        student: The network to teach; it is referred to, not kept.
        teachers: Not used.
        example: Images [B, 3, H, W] of any content.
        distiller: Makes the distiller of the average.
        decay: a after the first steps.

    Raises:
        ValueError: If the decay is not within 0 and 1.
    """

    steps: Tensor  # how many there were

    def __init__(
        self,
        student: MultiTaskNet,
        teachers: Mapping[str, Teacher | MultiTaskNet],
        example: Tensor,
        distiller: MakeDistiller,
        decay: float = 0.999,
    ) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise UserError(f"{type(self).__name__}.decay: expected a number from 0 to below 1, found {decay}")
        self.decay = decay
        self.average = copy.deepcopy(student).requires_grad_(False).eval()
        with torch.no_grad():
            tasks = tuple(self.average(example).predictions)
        teacher = Teacher(AVERAGE, self.average, tasks, moves=True)
        self.distiller = distiller(student, {AVERAGE: teacher}, example)
        self.uses_predictions, self.teach = self.distiller.uses_predictions, self.distiller.teach
        self._student = (student,)  # in a tuple, so that it is not registered
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @property
    def predicts_unlabelled(self) -> bool:
        """Of the distiller."""
        return self.distiller.predicts_unlabelled

    def train(self, mode: bool = True) -> Self:
        """Leave the average in eval mode."""
        super().train(mode)
        self.average.eval()
        return self

    def setup(self, tasks: Mapping[str, Task]) -> None:
        """That of the distiller."""
        self.distiller.setup(tasks)

    def calibrate(self, images: Callable[[tuple[str, ...] | None], Iterable[Tensor]]) -> None:
        """That of the distiller: statistics are of the student before training."""
        self.distiller.calibrate(images)

    @torch.no_grad()
    def begin_step(self, progress: float, observed: bool) -> None:
        """Move the average towards the student as the last step left it."""
        share = 1 - (self.steps.double() / (self.steps + 9)).clamp(max=self.decay)  # on the device: nothing waits for n
        for mine, theirs in zip(self.average.parameters(), self._student[0].parameters(), strict=True):
            mine.lerp_(theirs.detach(), share.to(mine))
        for kept, own in zip(self.average.buffers(), self._student[0].buffers(), strict=True):
            kept.copy_(own)
        self.steps += 1
        self.distiller.begin_step(progress, observed)

    def teaches(self) -> Mapping[str, tuple[str, ...]]:
        """Of the distiller: `average`, or `average/TASK`."""
        return self.distiller.teaches()

    def references(self) -> Mapping[str, str]:
        """Of the distiller."""
        return self.distiller.references()

    def networks(self) -> Iterable[nn.Module]:
        """Of the distiller."""
        return self.distiller.networks()

    def counts(self, batch: Batch) -> dict[str, int]:
        """Of the distiller."""
        return self.distiller.counts(batch)

    def forward(self, batch: Batch, output: Output) -> TermMap:
        """The terms of the distiller."""
        terms: TermMap = self.distiller(batch, output)
        return terms

    def distances(self) -> dict[str, Tensor]:
        """Of the distiller."""
        return self.distiller.distances()

    def health(self) -> dict[str, Tensor]:
        """Of the distiller."""
        return self.distiller.health()
