"""Distillation of what the teachers say, not of how they come to it."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from tutelage.distill.teachers import Teachers, lambdas
from tutelage.types import Batch, Distiller, MultiTaskNet, Output, Task, Term, TermMap


class LogitDistiller(Distiller):
    """Pulls the student's predictions towards the teachers' (BAM, Clark et al., ACL 2019, arXiv:1907.04829).

    b sum_t lambda_t l_t(y_hat_t, y_hat_t^teacher)

    where l_t(y_hat, y_hat^teacher) is the task's loss with the teacher's prediction in place of the label, at every
    position (`Task.imitate`), and b is 1, or falls linearly from 1 to 0 over the run. BAM's teacher annealing is that,
    together with `Uniform(schedule="rising")`, which lets the labels' part grow from 0 to 1.

    The paper anneals the target, l_t(y_hat, a y + (1 - a) y^teacher); this is a l_t(y_hat, y) + (1 - a) l_t(y_hat,
    y^teacher), which for cross-entropy has the same gradient where there is a label, and otherwise need not mix a label
    with a missing one.

    Args:
        student: Not looked at.
        teachers: The single-task network of every task; frozen and put in eval mode here.
        example: Not looked at.
        weights: lambda_t by task; a task that is not named has 1.
        schedule: b: `constant` or `falling`.
        temperature: Of logits, see `Task.imitate`.
        scale: One factor for all lambda_t.

    Raises:
        ValueError: Where `weights` names a task without teacher, or the temperature is not positive.
    """

    imitates = True

    def __init__(
        self,
        student: MultiTaskNet,
        teachers: Mapping[str, MultiTaskNet],
        example: Tensor,
        weights: dict[str, float] | None = None,
        schedule: Literal["constant", "falling"] = "constant",
        temperature: float = 1.0,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"LogitDistiller.temperature: expected a positive number, found {temperature}")
        self.weights = lambdas("LogitDistiller", teachers, weights, scale)
        self.teachers = Teachers(teachers)
        self.schedule, self.temperature = schedule, temperature
        self.tasks: dict[str, Task] = {}
        self._factor = 1.0
        self._last: dict[str, Tensor] = {}

    def setup(self, tasks: Mapping[str, Task]) -> None:
        """Keep the tasks: theirs are the losses."""
        self.tasks = dict(tasks)

    def begin_step(self, progress: float, observed: bool) -> None:
        """Set b."""
        self._factor = 1.0 - progress if self.schedule == "falling" else 1.0

    def forward(self, batch: Batch, output: Output) -> TermMap:
        """{task: (sum over images of b lambda_t l_t, number of images)}."""
        terms = TermMap()
        count = torch.full((), len(batch.images), device=batch.images.device)
        for t in self.teachers.tasks:
            said = self.teachers.predict(batch.images, t)
            loss = self.tasks[t].imitate(output.predictions[t], said, self.temperature).mean()
            terms[t] = Term(self._factor * self.weights[t] * loss * len(batch.images), count)
            self._last[f"{t}/prediction"] = loss.detach()
        return terms

    def distances(self) -> dict[str, Tensor]:
        """{"task/prediction": l_t(y_hat_t, y_hat_t^teacher) of the last batch, without b and lambda}."""
        return dict(self._last)
