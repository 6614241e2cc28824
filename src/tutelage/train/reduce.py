"""Parts of a step whose gradients add up to the gradient of the whole step, in one process or over several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tutelage.types import Batch, Distiller, Target, Task, Term, TermMap, Terms, World


@dataclass(frozen=True)
class PartCounts:
    """What is counted in one part of a step before any forward, from its labels.

    Attributes:
        images: of the part.
        tasks: of each of its batches: the tasks that it has labels of.
        counts: task -> what its loss is divided by: the sum of `Target.count()`.
        taught: key of a distillation term -> the images that it counts: the sum of `Distiller.counts()`.
        labelled: the tasks with a labelled image.
    """

    images: int
    tasks: tuple[frozenset[str], ...]
    counts: Mapping[str, Tensor]
    taught: Mapping[str, Tensor]
    labelled: frozenset[str]

    @classmethod
    def of(cls, part: Sequence[Batch], distiller: Distiller | None) -> "PartCounts":
        """Count, from what is known on the host."""
        counts, taught = dict[str, Tensor](), dict[str, Tensor]()
        for batch in part:
            for t, count in batch.counts.items():
                counts[t] = counts.get(t, 0) + count
            for key, images in ({} if distiller is None else distiller.counts(batch)).items():
                taught[key] = taught.get(key, 0) + torch.tensor(images)
        labelled = frozenset(t for batch in part for t, has_label in batch.labelled.items() if has_label.any())
        tasks = tuple(frozenset(batch.targets) for batch in part)
        return cls(sum(len(batch.images) for batch in part), tasks, counts, taught, labelled)


def add_counts(
    parts: Sequence[PartCounts], tasks: Sequence[str], keys: Sequence[str], world: World, wishes: Sequence[int] = ()
) -> tuple[list[PartCounts], list[int]]:
    """Parts of a step with the counts of all processes, in one sum on the host.

    Args:
        parts: of this process; every process has as many, of as many batches.
        tasks: all tasks of the run.
        keys: all keys of its distillation terms.
        world: the processes.
        wishes: whole numbers that are added on the way.
    """
    if world.size == 1:
        return list(parts), list(wishes)
    rows = [
        [part.images, *(int(t in batch) for batch in part.tasks for t in tasks)]
        + [int(part.counts.get(t, 0)) for t in tasks]
        + [int(t in part.labelled) for t in tasks]
        + [int(part.taught.get(key, 0)) for key in keys]
        for part in parts
    ]
    total = world.sum(torch.tensor([*(number for row in rows for number in row), *wishes], dtype=torch.int64)).tolist()
    numbers = iter(total)

    def read(part: PartCounts) -> PartCounts:
        images = next(numbers)
        present = tuple(frozenset(t for t in tasks if next(numbers)) for _ in part.tasks)
        counts = {t: torch.tensor(next(numbers)) for t in tasks}
        labelled = frozenset(t for t in tasks if next(numbers))
        taught = {key: torch.tensor(next(numbers)) for key in keys}
        counts = {t: count for t, count in counts.items() if any(t in batch for batch in present)}
        return PartCounts(images, present, counts, taught, labelled)

    return [read(part) for part in parts], list(numbers)


@dataclass
class PartialStep:
    """The reduction of a part of a step whose gradients are accumulated, in this process or over all of them.

    Divided by the counts of the whole step, which are computed from the labels before any forward, the parts' gradients
    add up to the gradient of the whole step, also where labels are missing.

    Attributes:
        counts: task -> what its loss is divided by in the whole step.
        taught: key of a distillation term -> the images that it counts in the whole step.
        own: what is counted in this part, in this process.
        part: the same in all processes.
        share: images of this part in this process / images of the step.
        draw: which of the independent draws of the step this part belongs to.
        last: whether it is the last part of its draw.
        world: the processes over which the images of the step are spread.
    """

    counts: dict[str, Tensor]
    taught: dict[str, Tensor]
    own: PartCounts
    part: PartCounts
    share: float
    draw: int = 0
    last: bool = True
    world: World = field(default_factory=World)

    @classmethod
    def split(cls, parts: Sequence[Sequence[Batch]], distiller: Distiller | None, draw: int = 0) -> list["PartialStep"]:
        """The reductions of the parts of a step, or of one draw of it, where one process has all of it."""
        own = [PartCounts.of(part, distiller) for part in parts]
        return cls.of(own, own, draw, World())

    @classmethod
    def of(
        cls, own: Sequence[PartCounts], everywhere: Sequence[PartCounts], draw: int, world: World
    ) -> list["PartialStep"]:
        """The reductions of the parts of a step, or of one draw of it.

        Args:
            own: what is counted of the parts in this process.
            everywhere: in all processes (`add_counts`).
            draw: which one.
            world: the processes.
        """
        counts, taught = dict[str, Tensor](), dict[str, Tensor]()
        for part in everywhere:
            for t, count in part.counts.items():
                counts[t] = counts.get(t, 0) + count
            for key, count in part.taught.items():
                taught[key] = taught.get(key, 0) + count
        images = sum(part.images for part in everywhere)
        return [
            cls(counts, taught, part, whole, part.images / images, draw, n + 1 == len(own), world)
            for n, (part, whole) in enumerate(zip(own, everywhere, strict=True))
        ]

    @property
    def labelled(self) -> frozenset[str]:
        """The tasks with a labelled image in this part."""
        return self.part.labelled

    def __call__(self, terms: Terms) -> Terms:
        """The terms of this part, over the counts of the whole step."""
        return Terms(_over(terms.task, self.counts), _over(terms.distill, self.taught))

    def of_part(self, terms: Terms) -> Terms:
        """The terms of this part over the counts of the part in all processes: their means add up to those of it."""
        if self.world.size == 1:
            return terms
        taught = {key: n for key, n in self.part.taught.items() if n > 0}
        return Terms(_over(terms.task, self.part.counts), _over(terms.distill, taught))

    def summed(self, terms: Terms, device: torch.device) -> Terms:
        """The terms of the whole step, given those of all its parts in this process.

        The counts are those that the host knows. Several processes add the sums in fp64, on a device.
        """
        if self.world.size == 1:
            return self(terms)
        pairs = [(terms.task, self.counts), (terms.distill, {key: n for key, n in self.taught.items() if n > 0})]
        local = [own[key].sum.to(device, torch.float64) for own, counts in pairs for key in counts]
        sums = iter(self.world.sum(torch.stack(local)) if local else ())
        return Terms(*(TermMap({key: Term(next(sums), n) for key, n in counts.items()}) for _, counts in pairs))

    def complete(self, batches: Sequence[Batch], tasks: Mapping[str, Task]) -> list[Batch]:
        """The batches of this part with a target of every task that any process has labels of, here all missing.

        So all processes run the same heads, where batch norm in these waits for all of them.
        """
        pairs = zip(batches, self.part.tasks, strict=True)
        return [replace(batch, targets=_all_targets(batch, tasks, present)) for batch, present in pairs]


def _all_targets(batch: Batch, tasks: Mapping[str, Task], present: frozenset[str]) -> dict[str, Target]:
    missing = [None] * len(batch.images)
    return {
        t: batch.targets[t] if t in batch.targets else task.collate(missing, batch.images)
        for t, task in tasks.items()
        if t in present
    }


def _over(terms: TermMap, counts: Mapping[str, Tensor]) -> TermMap:
    # A task without a label in this part has a zero sum here: what a balancer adds once per step counts here, too.
    zeros = {t: n.new_zeros((), dtype=torch.float32) for t, n in counts.items()}
    return TermMap({t: Term(terms[t].sum if t in terms else zeros[t], n) for t, n in counts.items()})
