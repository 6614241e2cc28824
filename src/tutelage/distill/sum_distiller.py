"""Several distillers at once."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from tutelage.distill.teachers import Teacher, labels_by_teacher, share_passes, teachers_of
from tutelage.errors import UserError
from tutelage.types import Batch, Distiller, MultiTaskNet, Output, Task, TermMap

MakeDistiller = Callable[[MultiTaskNet, Mapping[str, Teacher | MultiTaskNet], Tensor], Distiller]


class SumDistiller(Distiller):
    """The sum of several distillers over the same teachers, for example of features and of predictions.

    Each teacher's network runs once per batch, whatever the parts read of it. Parts that distil from some of the
    teachers (`only`) give each of these a schedule, a distance or an adaptor of its own. For single pairs of taps
    `TapMatch` is enough.

    Args:
        student: The network to teach.
        teachers: The teachers by name; a network alone, under the name of a task, teaches that task.
        example: Images [B, 3, H, W] of any content.
        parts: The distillers.

    Raises:
        ValueError: If there are no parts, two parts see different images of the same teacher, or one part trains a
            network that another takes as a frozen teacher.
    """

    def __init__(
        self,
        student: MultiTaskNet,
        teachers: Mapping[str, Teacher | MultiTaskNet],
        example: Tensor,
        parts: list[MakeDistiller],
    ) -> None:
        super().__init__()
        if not parts:
            raise UserError("SumDistiller.parts: expected one distiller or more, found none")
        self.parts = nn.ModuleList(make(student, teachers, example) for make in parts)
        self.uses_predictions = any(part.uses_predictions for part in self._all)
        self.teach = "all" if any(part.teach == "all" for part in self._all) else "own"
        labels_by_teacher(self)  # raises if two parts see different images of the same teacher
        self._check_frozen()
        self._passes = share_passes(self)

    def _check_frozen(self) -> None:
        learning = self.networks()
        for teachers in teachers_of(self):
            for name, teacher in teachers.named.items():
                if teacher.network in learning:
                    raise UserError(
                        f"SumDistiller.parts: expected a network that learns, or a teacher, found `{name}` as both; "
                        "name other teachers in the `only` of one part"
                    )

    @property
    def _all(self) -> list[Distiller]:
        return [part for part in self.parts if isinstance(part, Distiller)]

    @property
    def predicts_unlabelled(self) -> bool:
        """Of any part."""
        return any(part.predicts_unlabelled for part in self._all)

    def setup(self, tasks: Mapping[str, Task]) -> None:
        """Each part's."""
        for part in self._all:
            part.setup(tasks)

    def calibrate(self, images: Callable[[tuple[str, ...] | None], Iterable[Tensor]]) -> None:
        """Each part's."""
        for part in self._all:
            part.calibrate(images)

    def begin_step(self, progress: float, observed: bool) -> None:
        """Each part's."""
        for part in self._all:
            part.begin_step(progress, observed)

    def teaches(self) -> dict[str, tuple[str, ...]]:
        """The tasks of all parts' terms."""
        return {term: tasks for part in self._all for term, tasks in part.teaches().items()}

    def references(self) -> dict[str, str]:
        """Of all parts."""
        return {task: term for part in self._all for task, term in part.references().items()}

    def networks(self) -> list[nn.Module]:
        """Of all parts, each once."""
        return list(dict.fromkeys(network for part in self._all for network in part.networks()))

    def counts(self, batch: Batch) -> dict[str, int]:
        """The images of all parts' terms; parts with the same term see the same images."""
        return {term: count for part in self._all for term, count in part.counts(batch).items()}

    def forward(self, batch: Batch, output: Output) -> TermMap:
        """{term: (sum of the parts' terms, number of images)}."""
        terms = TermMap()
        with self._passes.batch():
            for part in self._all:
                for name, term in part(batch, output).items():
                    if name in terms:
                        terms[name].sum = terms[name].sum + term.sum
                    else:
                        terms[name] = term
        return terms

    def distances(self) -> dict[str, Tensor]:
        """Of all parts; the last one's where names coincide."""
        return {name: value for part in self._all for name, value in part.distances().items()}

    @torch.no_grad()
    def health(self) -> dict[str, Tensor]:
        """Of all parts; the last one's where names coincide."""
        return {name: value for part in self._all for name, value in part.health().items()}
