"""Parts of a step whose gradients add up to the gradient of the whole step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tutelage.types import Batch, Distiller, Term, TermMap, Terms


@dataclass
class PartialStep:
    """The reduction within one process: a part of a step whose gradients are accumulated.

    Divided by the counts of the whole step, which are computed from the labels before any forward, the parts' gradients
    add up to the gradient of the whole step, also where labels are missing.

    Attributes:
        counts: task -> what its loss is divided by in the whole step: the sum of `Target.count()`.
        taught: key of a distillation term -> the images that it counts in the whole step: the sum of
            `Distiller.counts()`.
        labelled: the tasks with a labelled image in this part.
        share: images of this part / images of the step.
        draw: which of the independent draws of the step this part belongs to.
    """

    counts: dict[str, Tensor]
    taught: dict[str, Tensor]
    labelled: frozenset[str]
    share: float
    draw: int = 0

    @classmethod
    def split(cls, parts: Sequence[Sequence[Batch]], distiller: Distiller | None, draw: int = 0) -> list["PartialStep"]:
        """The reductions of the parts of a step, or of one draw of it, from what is known on the host."""
        counts, taught = dict[str, Tensor](), dict[str, Tensor]()
        for batch in (batch for part in parts for batch in part):
            for t, count in batch.counts.items():
                counts[t] = counts.get(t, 0) + count
            for key, images in ({} if distiller is None else distiller.counts(batch)).items():
                taught[key] = taught.get(key, 0) + torch.tensor(images)
        sizes = [sum(len(batch.images) for batch in part) for part in parts]
        labelled = [
            frozenset(t for batch in part for t, has_label in batch.labelled.items() if has_label.any())
            for part in parts
        ]
        return [cls(counts, taught, tasks, n / sum(sizes), draw) for tasks, n in zip(labelled, sizes, strict=True)]

    def __call__(self, terms: Terms) -> Terms:
        """The terms of this part, over the counts of the whole step."""
        return Terms(_over(terms.task, self.counts), _over(terms.distill, self.taught))


def _over(terms: TermMap, counts: Mapping[str, Tensor]) -> TermMap:
    # A task without a label in this part has a zero sum here: what a balancer adds once per step counts here, too.
    zeros = {t: n.new_zeros((), dtype=torch.float32) for t, n in counts.items()}
    return TermMap({t: Term(terms[t].sum if t in terms else zeros[t], n) for t, n in counts.items()})
