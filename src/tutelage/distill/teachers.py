"""The single-task networks the student learns from."""

from collections.abc import Callable, Mapping
from typing import Self

import torch
from torch import Tensor, nn

from tutelage.types import MultiTaskNet

Taps = dict[str, Tensor | dict[str, Tensor]]


class Teachers(nn.Module):
    """The frozen single-task networks phi_t, one a task.

    A step leaves them bitwise unchanged: their parameters need no gradient, they run without one, and they stay in eval
    mode whatever `train()` is called on around them, so that their batch norm cannot drift (in the authors' code they
    are never put in eval mode and do drift). To that end they are held without being registered: `parameters()`,
    `state_dict()` and `train()` do not see them; `to()` moves them all the same.

    Args:
        nets: The network of every task. They are frozen and put in eval mode here.
    """

    def __init__(self, nets: Mapping[str, MultiTaskNet]) -> None:
        super().__init__()
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
            raise ValueError(
                f"{owner}.weights: expected tasks with a teacher ({', '.join(teachers) or 'none'}), found `{task}`"
            )
    return {t: scale * (weights or {}).get(t, 1.0) for t in teachers}
