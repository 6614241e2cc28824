"""The single-task networks the student learns from."""

from collections.abc import Callable, Mapping
from typing import Self

import torch
from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.types import Batch, MultiTaskNet, Teach

Taps = dict[str, Tensor | dict[str, Tensor]]


class Teachers(nn.Module):
    """The frozen single-task networks phi_t, one a task.

    A step leaves them bitwise unchanged: their parameters need no gradient, they run without one, and they stay in eval
    mode whatever `train()` is called on around them, so that their batch norm cannot drift (in the authors' code they
    are never put in eval mode and do drift). To that end they are held without being registered: `parameters()`,
    `state_dict()` and `train()` do not see them; `to()` moves them all the same.

    Args:
        nets: The network of every task. They are frozen and put in eval mode here.
        teach: Which images the teacher of a task is asked about: `all`, or its `own`, those with a label of its task.
    """

    def __init__(self, nets: Mapping[str, MultiTaskNet], teach: Teach = "all") -> None:
        super().__init__()
        self.teach = teach
        self._nets = {task: net.requires_grad_(False).eval() for task, net in nets.items()}  # a dict: not registered

    def train_as_the_authors(self) -> None:
        """Put the teachers in training mode, as the authors' scripts leave them.

        Their batch norm then takes the statistics of each batch, and its running statistics drift.
        """
        for net in self._nets.values():
            net.train()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that have a teacher."""
        return tuple(self._nets)

    def images(self, batch: Batch, task: str) -> Tensor | None:
        """The images of a batch that the task's teacher is asked about: their indices, on the host; None: all."""
        if self.teach == "all":
            return None
        labelled = batch.labelled.get(task)
        if labelled is None:
            return torch.empty(0, dtype=torch.int64)
        return None if bool(labelled.all()) else labelled.nonzero().squeeze(1)

    def counts(self, batch: Batch) -> dict[str, int]:
        """How many images of a batch the teacher of each task is asked about."""
        found = {t: self.images(batch, t) for t in self.tasks}
        return {t: len(batch.images) if indices is None else len(indices) for t, indices in found.items()}

    @torch.no_grad()
    def forward(self, images: Tensor, task: str) -> dict[str, Tensor]:
        """phi_t^k(x) for every tap k of the task's teacher; the heads are not computed."""
        taps = self._nets[task](images, tasks=()).taps
        return {name: tap(taps, name, task) for name in taps}

    @torch.no_grad()
    def predict(self, images: Tensor, task: str) -> Tensor:
        """The raw output of the task's teacher."""
        prediction: Tensor = self._nets[task](images, tasks=[task]).predictions[task]
        return prediction

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # what to() and cuda() call
        for net in self._nets.values():
            net._apply(fn, recurse)  # type: ignore[no-untyped-call]  # of torch
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # of torch
        return self


def chosen(x: Tensor, indices: Tensor | None) -> Tensor:
    """Some images of a tensor [B, ...]; None: all of them, as it is."""
    return x if indices is None else x[indices.to(x.device, non_blocking=True)]


class Means:
    """Means over the images of a step, kept on the device."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, values: Tensor) -> None:
        """One value an image, [B]."""
        total = values.detach().sum()
        self.sums[name] = self.sums[name] + total if name in self.sums else total
        self.counts[name] = self.counts.get(name, 0) + len(values)

    def read(self) -> dict[str, Tensor]:
        """{name: mean}."""
        return {name: total / self.counts[name] for name, total in self.sums.items()}


def tap(taps: Taps, name: str, task: str) -> Tensor:
    """The feature `task` sees at a tap: the shared one, or its own (MTAN)."""
    feature = taps[name]
    return feature[task] if isinstance(feature, dict) else feature


def lambdas(
    owner: str, teachers: Mapping[str, MultiTaskNet], weights: Mapping[str, float] | None, scale: float
) -> dict[str, float]:
    """lambda_t of every task with a teacher: `scale` times what `weights` names, or times 1.

    Raises:
        ValueError: Where `weights` names a task without teacher; `owner` is who has them.
    """
    for task in weights or {}:
        if task not in teachers:
            raise UserError(
                f"{owner}.weights: expected tasks with a teacher ({', '.join(teachers) or 'none'}), found `{task}`"
            )
    return {t: scale * (weights or {}).get(t, 1.0) for t in teachers}
