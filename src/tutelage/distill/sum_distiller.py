"""Several distillers at once."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.types import Batch, Distiller, MultiTaskNet, Output, Task, TermMap

Make = Callable[[MultiTaskNet, Mapping[str, MultiTaskNet], Tensor], Distiller]


class SumDistiller(Distiller):
    """The sum of several distillers over the same teachers, for example of features and of predictions.

    Each runs the teachers for itself.

    Args:
        student: The network to teach.
        teachers: The single-task network of every task.
        example: Images [B, 3, H, W] of any content.
        parts: The distillers.

    Raises:
        ValueError: Where there are none, or their teachers see different images.
    """

    def __init__(
        self, student: MultiTaskNet, teachers: Mapping[str, MultiTaskNet], example: Tensor, parts: list[Make]
    ) -> None:
        super().__init__()
        if not parts:
            raise UserError("Together.parts: expected one distiller or more, found none")
        self.parts = nn.ModuleList(make(student, teachers, example) for make in parts)
        self.uses_predictions = any(part.uses_predictions for part in self._all)
        self.teach = self._all[0].teach
        if any(part.teach != self.teach for part in self._all):
            raise UserError(
                "Together.parts: expected one `teach` for all parts, since their terms are added before they are "
                f"divided; found {', '.join(part.teach for part in self._all)}"
            )

    @property
    def _all(self) -> list[Distiller]:
        return [part for part in self.parts if isinstance(part, Distiller)]

    def setup(self, tasks: Mapping[str, Task]) -> None:
        """Of each part."""
        for part in self._all:
            part.setup(tasks)

    def calibrate(self, images: Callable[[str], Iterable[Tensor]]) -> None:
        """Each part."""
        for part in self._all:
            part.calibrate(images)

    def begin_step(self, progress: float, observed: bool) -> None:
        """Of each part."""
        for part in self._all:
            part.begin_step(progress, observed)

    def counts(self, batch: Batch) -> dict[str, int]:
        """The same of every part."""
        return self._all[0].counts(batch)

    def forward(self, batch: Batch, output: Output) -> TermMap:
        """{task: (sum of the parts' terms, number of images)}."""
        terms = TermMap()
        for part in self._all:
            for t, term in part(batch, output).items():
                if t in terms:
                    terms[t].sum = terms[t].sum + term.sum
                else:
                    terms[t] = term
        return terms

    def distances(self) -> dict[str, Tensor]:
        """Of all parts; the last one's where names coincide."""
        return {name: value for part in self._all for name, value in part.distances().items()}

    @torch.no_grad()
    def health(self) -> dict[str, Tensor]:
        """Of all parts."""
        return {name: value for part in self._all for name, value in part.health().items()}
