"""The teachers' own losses on the labels, to compare the student with."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.distill.teachers import Teacher, Teachers, check_set_up, check_tasks
from tutelage.errors import UserError
from tutelage.types import Batch, Distiller, MultiTaskNet, Output, Task, Teach, Term, TermMap, task_loss


class TeacherLosses(Distiller):
    """l_t(y_hat_t^teacher, y_t) of every teacher and task: terms without a gradient, which teach nothing.

    They are there to be read: by balancers that weigh by how far the student is behind (`RelativeLosses`), and in the
    log, as `distill/loss/NAME/TASK`. It is a part of a `SumDistiller`; each network still runs once per batch.

    Args:
        student: Not used.
        teachers: The teachers by name.
        example: Not used.
        teach: Which images a teacher sees, as for the other parts.
        only: The names of the teachers that are used; None: all.

    Raises:
        ValueError: If a teacher has no tasks, or sees images of another size.
    """

    def __init__(
        self,
        student: MultiTaskNet,
        teachers: Mapping[str, Teacher | MultiTaskNet],
        example: Tensor,
        teach: Teach = "all",
        only: list[str] | None = None,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        self.teachers = Teachers(teachers, teach, only, owner)
        self.teach = self.teachers.teach
        for name, teacher in self.teachers.named.items():
            if not teacher.tasks or teacher.size is not None:
                raise UserError(
                    f"{owner}: expected teachers with tasks, and without a `size`, found `{name}`; name the others in "
                    "`only`"
                )
            self.teachers.passes.request(teacher.network, tasks=teacher.tasks)
        self.tasks: dict[str, Task] = {}

    def setup(self, tasks: Mapping[str, Task]) -> None:
        """Keep the tasks, whose losses are used."""
        check_tasks(self.teachers.named, tasks)
        self.tasks = dict(tasks)

    def references(self) -> dict[str, str]:
        """{task: the key of its teacher's loss}, the first one's of several."""
        return {t: f"loss/{name}/{t}" for name, teacher in reversed(self.teachers.named.items()) for t in teacher.tasks}

    def teaches(self) -> dict[str, tuple[str, ...]]:
        """The one task of each term."""
        return {f"loss/{name}/{t}": (t,) for name, teacher in self.teachers.named.items() for t in teacher.tasks}

    def counts(self, batch: Batch) -> dict[str, int]:
        """What each loss is divided by."""
        pairs = ((name, t) for name, teacher in self.teachers.named.items() for t in teacher.tasks)
        return {f"loss/{name}/{t}": int(batch.counts[t]) for name, t in pairs if t in batch.targets}

    @torch.no_grad()
    def forward(self, batch: Batch, output: Output) -> TermMap:
        """{key: (sum of the loss, its count)}."""
        terms = TermMap()
        with self.teachers.passes.batch():
            for name, images in self.teachers.counts(batch).items():
                if not images:
                    continue
                teacher, reading = self.teachers.named[name], self.teachers.read(batch, name)
                check_set_up(self, self.tasks, teacher.tasks)
                for t in (t for t in teacher.tasks if t in batch.targets):
                    raw = reading.output.predictions[t]
                    if reading.indices is not None:  # images without any label of the teacher's count for nothing
                        whole = raw.new_zeros(len(batch.images), *raw.shape[1:])
                        raw = whole.index_copy(0, reading.indices, raw)
                    loss = task_loss(self.tasks[t], t, Output({t: raw}, {}), batch.targets[t])
                    terms[f"loss/{name}/{t}"] = Term(loss.sum, loss.count)
        return terms

    def distances(self) -> dict[str, Tensor]:
        """None."""
        return {}
