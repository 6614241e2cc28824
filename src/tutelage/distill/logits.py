"""Distillation of what the teachers say, not of how they come to it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.distill.schedule import Schedule, factor
from tutelage.distill.teachers import Means, Teachers, chosen, lambdas
from tutelage.errors import UserError
from tutelage.types import Batch, Distiller, MultiTaskNet, Output, Task, Teach, Term, TermMap


class LogitDistiller(Distiller):
    """Pulls the student's predictions towards the teachers' (BAM, Clark et al., ACL 2019, arXiv:1907.04829).

    b sum_t lambda_t l_t(y_hat_t, y_hat_t^teacher)

    where l_t(y_hat, y_hat^teacher) is the task's loss with the teacher's prediction in place of the label, at every
    position (`Task.imitate`), and b is 1, or falls from 1 to 0 over the run. BAM's teacher annealing is b falling in a
    line together with `Uniform(schedule="rising")`, which lets the labels' part grow from 0 to 1.

    The paper anneals the target, l_t(y_hat, a y + (1 - a) y^teacher); this is a l_t(y_hat, y) + (1 - a) l_t(y_hat,
    y^teacher), which for cross-entropy has the same gradient where there is a label, and otherwise need not mix a label
    with a missing one.

    Args:
        student: Not looked at.
        teachers: The single-task network of every task; frozen and put in eval mode here.
        example: Not looked at.
        weights: lambda_t by task; a task that is not named has 1.
        schedule: b over the run: `constant`, or falling to 0 in a line (`linear`) or half a `cosine`.
        temperature: Of logits, see `Task.imitate`.
        scale: One factor for all lambda_t.
        teach: Which images teacher t sees: `all`, or its `own`, those with a label of t.

    Raises:
        ValueError: Where `weights` names a task without teacher, or the temperature is not positive.
    """

    uses_predictions = True

    def __init__(
        self,
        student: MultiTaskNet,
        teachers: Mapping[str, MultiTaskNet],
        example: Tensor,
        weights: dict[str, float] | None = None,
        schedule: Schedule = "constant",
        temperature: float = 1.0,
        scale: float = 1.0,
        teach: Teach = "all",
    ) -> None:
        super().__init__()
        if temperature <= 0:
            raise UserError(f"LogitDistiller.temperature: expected a positive number, found {temperature}")
        self.weights = lambdas("LogitDistiller", teachers, weights, scale)
        self.teachers, self.teach = Teachers(teachers, teach), teach
        self.schedule: Schedule = schedule
        self.temperature = temperature
        self.tasks: dict[str, Task] = {}
        self._factor, self._means = 1.0, Means()

    def setup(self, tasks: Mapping[str, Task]) -> None:
        """Keep the tasks: theirs are the losses."""
        self.tasks = dict(tasks)

    def begin_step(self, progress: float, observed: bool) -> None:
        """Set b."""
        self._factor, self._means = factor(self.schedule, progress), Means()

    def counts(self, batch: Batch) -> dict[str, int]:
        """The images that each task's teacher sees."""
        return self.teachers.counts(batch)

    def forward(self, batch: Batch, output: Output) -> TermMap:
        """{task: (sum over images of b lambda_t l_t, number of images)}."""
        terms = TermMap()
        for t, images in self.counts(batch).items():
            if not images:
                continue
            seen = self.teachers.images(batch, t)
            said = self.teachers.predict(chosen(batch.images, seen), t)
            loss = self.tasks[t].distillation_loss(chosen(output.predictions[t], seen), said, self.temperature).mean()
            count = torch.full((), images, device=batch.images.device)
            terms[t] = Term(self._factor * self.weights[t] * loss * images, count)
            self._means.add(f"{t}/prediction", loss.expand(images))
        return terms

    def distances(self) -> dict[str, Tensor]:
        """{"task/prediction": l_t(y_hat_t, y_hat_t^teacher) without b and lambda, the mean since `begin_step`}."""
        return self._means.read()
