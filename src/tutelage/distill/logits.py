"""Distillation of the teachers' predictions."""

from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.distill.distances import Distance
from tutelage.distill.means import Means
from tutelage.distill.schedule import Schedule, factor
from tutelage.distill.teachers import Teacher, Teachers, check_set_up, check_tasks
from tutelage.errors import UserError, positive_number
from tutelage.types import Batch, Distiller, MultiTaskNet, Output, Task, Teach, Term, TermMap


class LogitDistiller(Distiller):
    """Pulls the student's predictions towards the teachers' (BAM, Clark et al., ACL 2019, arXiv:1907.04829).

    b sum_t lambda_t l_t(y_hat_t, y_hat_t^teacher)

    where y_hat_t and y_hat_t^teacher are raw predictions ([B, C_t, H, W], or [B, C_t] of whole images) and l_t, a mean
    over images and positions, is the task's loss with the teacher's prediction in place of the label, at every position
    (`Task.distillation_loss`), or a `distance` of the two. b is 1, or falls from 1 to 0 over the run. BAM's teacher
    annealing is b falling in a line together with `Uniform(schedule="rising")`, where the weight of the labels grows
    from 0 to 1.

    A teacher of several tasks has one term per task, `teacher/task`. All of them are for the same images, those that
    the teacher sees.

    With `mirror` a teacher's prediction is the mean of those for the image and, mirrored back, for its mirror image,

    y_hat_t^teacher = (phi_t(x) + M_t phi_t(M x)) / 2

    as in data distillation (Radosavovic et al., CVPR 2018, arXiv:1712.04440), which averages over more transforms,
    and probabilities where these are raw predictions. M_t is `Task.mirrored`.

    Differs from BAM: it anneals the target, l_t(y_hat, a y + (1 - a) y^teacher); here the terms are a l_t(y_hat,
    y) + (1 - a) l_t(y_hat, y^teacher). For cross-entropy the gradient is the same where there is a label. Elsewhere no
    label has to be mixed with a missing one.

    Args:
        student: Not used.
        teachers: The teachers by name; a network alone, under the name of a task, teaches that task. All are frozen and
            put in eval mode here.
        example: Not used.
        weights: lambda_t by the teacher's name, 1 for a teacher that is not named.
        schedule: b over the run: `constant`, or falling to 0 in a line (`linear`) or half a `cosine`.
        temperature: Of logits, see `Task.distillation_loss`.
        scale: One factor of all lambda_t.
        teach: Which images a teacher sees: `all`, or its `own`, those with a label of one of its tasks.
        only: The names of the teachers that are distilled from; None: all.
        distance: Compares the raw predictions, for every task alike; None: each task's own `distillation_loss`.
        mirror: Teachers see each image's mirror image, too; a second forward pass, none where they are cached.
        share: The teachers of a task share its lambda_t: each has lambda_t over the number of those in this distiller,
            whatever their weights, so that the task learns from their mean and weighs as with one.

    Raises:
        ValueError: If the temperature is not positive, not finite, or given beside a `distance`, a weight or the scale
            is negative or not finite, `weights` or `only` names no teacher, or a teacher has no tasks or sees images of
            another size; in `setup`, if a teacher has a task that the student lacks.
    """

    uses_predictions = True

    def __init__(
        self,
        student: MultiTaskNet,
        teachers: Mapping[str, Teacher | MultiTaskNet],
        example: Tensor,
        weights: dict[str, float] | None = None,
        schedule: Schedule = "constant",
        temperature: float = 1.0,
        scale: float = 1.0,
        teach: Teach = "all",
        only: list[str] | None = None,
        distance: Distance | None = None,
        mirror: bool = False,
        share: bool = False,
    ) -> None:
        super().__init__()
        positive_number(f"{type(self).__name__}.temperature", temperature)
        if distance is not None and temperature != 1:
            raise UserError(
                f"{type(self).__name__}.temperature: expected 1 beside a `distance`, which has one of its own, found "
                f"{temperature}; give it to the distance"
            )
        self.teachers = Teachers(teachers, teach, only, type(self).__name__)
        self.teach = self.teachers.teach
        for name, teacher in self.teachers.named.items():
            if not teacher.tasks:
                raise UserError(
                    f"{type(self).__name__}: expected teachers with tasks, whose predictions are distilled, found "
                    f"`{name}` without; name the others in `only`"
                )
            if teacher.size is not None:
                raise UserError(
                    f"teachers.{name}.size: expected none for {type(self).__name__}, which compares predictions of "
                    f"one size, found {list(teacher.size)}; distil its features, or leave it out with `only`"
                )
            self.teachers.passes.request(teacher.network, tasks=teacher.tasks, mirror=mirror)
        self.weights = self.teachers.lambdas(weights, scale)
        self.schedule: Schedule = schedule
        self.temperature, self.distance = temperature, distance
        taught = Counter(t for teacher in self.teachers.named.values() for t in teacher.tasks)
        self._shares = {t: 1 / count if share else 1.0 for t, count in taught.items()}
        self.tasks: dict[str, Task] = {}
        self._factor, self._means = 1.0, Means()

    @property
    def predicts_unlabelled(self) -> bool:
        """True if teachers see all images, or those of another of their tasks."""
        return self.teach == "all" or any(len(teacher.tasks) > 1 for teacher in self.teachers.named.values())

    def setup(self, tasks: Mapping[str, Task]) -> None:
        """Keep the tasks, whose losses are used, and check that the teachers' tasks are among them."""
        check_tasks(self.teachers.named, tasks)
        self.tasks = self.teachers.passes.tasks = dict(tasks)

    def begin_step(self, progress: float, observed: bool) -> None:
        """Set b."""
        self._factor, self._means = factor(self.schedule, progress), Means()

    def teaches(self) -> dict[str, tuple[str, ...]]:
        """The one task of each term."""
        return {teacher.term(t): (t,) for teacher in self.teachers.named.values() for t in teacher.tasks}

    def counts(self, batch: Batch) -> dict[str, int]:
        """The images that the teacher of each term sees."""
        images = self.teachers.counts(batch)
        return {teacher.term(t): images[name] for name, teacher in self.teachers.named.items() for t in teacher.tasks}

    def forward(self, batch: Batch, output: Output) -> TermMap:
        """{term: (sum over images of b lambda_t l_t, number of images)}."""
        terms = TermMap()
        with self.teachers.passes.batch():
            for name, images in self.teachers.counts(batch).items():
                if not images:
                    continue
                teacher = self.teachers.named[name]
                check_set_up(self, self.tasks, teacher.tasks)
                reading = self.teachers.read(batch, name)
                for t in teacher.tasks:
                    loss = self._loss(t, reading.select(output.predictions[t]), reading.output.predictions[t])
                    count = torch.full((), images, device=batch.images.device)
                    weight = self._factor * self.weights[name] * self._shares[t]
                    terms[teacher.term(t)] = Term(weight * loss * images, count)
                    self._means.add(f"{teacher.term(t)}/prediction", loss.expand(images))
        return terms

    def _loss(self, task: str, raw: Tensor, taught: Tensor) -> Tensor:
        """How far the predictions of a task are from the teacher's: the mean over images, []."""
        if self.distance is not None:
            distances: Tensor = self.distance(raw, taught)
            return distances.mean()
        return self.tasks[task].distillation_loss(raw, taught, self.temperature).mean()

    def distances(self) -> dict[str, Tensor]:
        """{"term/prediction": l_t(y_hat_t, y_hat_t^teacher) without b and lambda, the mean since `begin_step`}."""
        return self._means.read()
