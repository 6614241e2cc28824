"""The teachers of a distiller: frozen, always in eval mode, absent from its parameters and its `state_dict`."""

from collections.abc import Callable, Collection, Mapping
from math import inf
from typing import Self

import torch
from torch import Tensor, nn

from tutelage.distill.teachers.passes import Passes, Reading, resize
from tutelage.distill.teachers.teacher import Teacher, list_names, named_teachers
from tutelage.errors import UserError
from tutelage.types import Batch, MultiTaskNet, Output, Teach


class Teachers(nn.Module):
    """The frozen networks phi_t that teach.

    A step leaves them bitwise unchanged: their parameters need no gradient, they run without one, and they stay in eval
    mode whatever `train()` is called on around them, so that their batch norm cannot drift (in the authors' code they
    are never put in eval mode and do drift). To that end they are not registered: `parameters()`, `state_dict()` and
    `train()` do not see them. `to()` moves them.

    Args:
        teachers: By name; a network alone under the name of a task teaches that task. All are frozen here and put in
            eval mode.
        teach: The images that a teacher sees if its own `sees` does not say: `all`, or its `own`, those with a label of
            at least one of its tasks.
        only: The names of the teachers that are used; None: all.
        owner: The distiller's class, for messages.

    Raises:
        ValueError: If `only` names a teacher that is not there, or a teacher without tasks would see its `own` images.
    """

    def __init__(
        self,
        teachers: Mapping[str, Teacher | MultiTaskNet],
        teach: Teach = "all",
        only: Collection[str] | None = None,
        owner: str = "distiller",
    ) -> None:
        super().__init__()
        self._owner = owner
        self.named = named_teachers(teachers, only, owner)  # in a dict, so that the networks are not registered
        self.passes = Passes()
        self._sees: dict[str, Teach] = {name: teacher.sees or teach for name, teacher in self.named.items()}
        for name, teacher in self.named.items():
            if self._sees[name] == "own" and not teacher.tasks:
                raise UserError(
                    f"teachers.{name}.sees: expected `all`, since a teacher without tasks has no labels of its own, "
                    f"found `own`, from {owner}.teach; set it to `all`"
                )
            teacher.network.requires_grad_(False).eval()

    @property
    def teach(self) -> Teach:
        """`all` if any of them sees images without a label of its tasks, else `own`."""
        return "all" if "all" in self._sees.values() else "own"

    @property
    def networks(self) -> dict[str, MultiTaskNet]:
        """The network of each teacher."""
        return {name: teacher.network for name, teacher in self.named.items()}

    def train_as_the_authors(self) -> None:
        """Put the teachers in training mode, as the authors' scripts leave them.

        Their batch norm then uses the statistics of each batch, and its running statistics drift.
        """
        for network in self.networks.values():
            network.train()

    def labels(self, name: str) -> tuple[str, ...] | None:
        """The tasks of whose labels an image needs one for the teacher to see it; None: it sees all images."""
        return None if self._sees[name] == "all" else self.named[name].tasks

    def images(self, batch: Batch, name: str) -> Tensor | None:
        """The indices of the images of a batch that a teacher sees, on the host; None: all."""
        tasks = self.labels(name)
        if tasks is None:
            return None
        masks = [batch.labelled[task] for task in tasks if task in batch.labelled]
        if not masks:
            return torch.empty(0, dtype=torch.int64)
        labelled = torch.stack(masks).any(0)
        return None if bool(labelled.all()) else labelled.nonzero().squeeze(1)

    def counts(self, batch: Batch) -> dict[str, int]:
        """How many images of a batch each teacher sees."""
        indices = {name: self.images(batch, name) for name in self.named}
        return {name: len(batch.images) if seen is None else len(seen) for name, seen in indices.items()}

    def read(self, batch: Batch, name: str) -> Reading:
        """The requested taps and predictions of a teacher for the images of the batch that it sees.

        It is called in a `with self.passes.batch()` block, in which each network runs once for all its readers.
        """
        return self.passes.read(self.named[name].network, batch, self.images(batch, name))

    @torch.no_grad()
    def forward(self, images: Tensor, name: str) -> dict[str, Tensor | dict[str, Tensor]]:
        """phi_t^k(x) for every tap k of a teacher, outside of any step; the heads are not computed."""
        teacher = self.named[name]
        self.passes.fetch(teacher.network, images.device)
        output: Output = teacher.network(resize(images, teacher.size), tasks=())
        return output.taps

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # what to() and cuda() call
        for network in set(self.networks.values()):
            network._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch has no annotation here
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch has no annotation here
        return self

    def lambdas(self, weights: Mapping[str, float] | None, scale: float) -> dict[str, float]:
        """lambda of every teacher: `scale` times its `weight` times its entry in `weights`, 1 for a missing entry.

        Raises:
            ValueError: If `weights` names no teacher, or a factor is negative or not finite.
        """
        weights = weights or {}
        for name in weights:
            if name not in self.named:
                raise UserError(
                    f"{self._owner}.weights: expected names of teachers ({list_names(self.named)}), found `{name}`"
                )
        for key, value in (("scale", scale), *((f"weights.{name}", weight) for name, weight in weights.items())):
            if not 0 <= value < inf:
                raise UserError(f"{self._owner}.{key}: expected a number of at least 0, found {value}")
        return {name: scale * weights.get(name, 1.0) * teacher.weight for name, teacher in self.named.items()}


def share_passes(distiller: nn.Module) -> Passes:
    """Let all teachers in a distiller, also those of its parts, run each network once per batch together."""
    sharing = teachers_of(distiller)
    passes = Passes.merged(teachers.passes for teachers in sharing)
    for teachers in sharing:
        teachers.passes = passes
    return passes


def teachers_of(distiller: nn.Module) -> list[Teachers]:
    """The teachers of a distiller and of its parts."""
    return [module for module in distiller.modules() if isinstance(module, Teachers)]


def labels_by_teacher(distiller: nn.Module) -> dict[str, tuple[str, ...] | None]:
    """{teacher: the tasks of whose labels an image needs one for it to see the image}; None: it sees all images.

    Args:
        distiller: Any distiller; a teacher that none of its parts distils from is absent.

    Raises:
        ValueError: If parts of the distiller see different images of the same teacher.
    """
    labels: dict[str, tuple[str, ...] | None] = {}
    for teachers in teachers_of(distiller):
        for name in teachers.named:
            if labels.setdefault(name, teachers.labels(name)) != teachers.labels(name):
                raise UserError(
                    f"{type(distiller).__name__}.parts: expected one `teach` for all parts, since their terms are "
                    f"added before they are divided, found `all` and `own` for the teacher `{name}`"
                )
    return labels
