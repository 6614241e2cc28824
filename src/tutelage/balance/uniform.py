"""Fixed weights."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from tutelage.balance.objective import Balance, backward
from tutelage.errors import UserError
from tutelage.types import Balancer, Distiller, MultiTaskNet, Output, Reduce, Task, Terms


class Uniform(Balancer):
    """a sum_t w_t l_t + sum_t lambda_t d_t with fixed w_t, 1 unless named.

    Args:
        weights: w_t by task; a task that is not named has `default`.
        default: w_t of the tasks that are not named; 0 trains on the teachers alone.
        schedule: a: `constant`, 1; or `rising`, linearly from 0 to 1 over the run, the labels' part of BAM's teacher
            annealing.
        balance: `task`: the distillation terms as they are, the paper's way; otherwise with their task's a w_t.

    Raises:
        ValueError: In `setup`, where `weights` names a task that is not there.
    """

    def __init__(
        self,
        weights: dict[str, float] | None = None,
        default: float = 1.0,
        schedule: Literal["constant", "rising"] = "constant",
        balance: Balance = "task",
    ) -> None:
        super().__init__()
        self.balance: Balance = balance
        self.weights = dict(weights or {})
        self.default, self.schedule = default, schedule
        self._factor = 1.0

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Check the names of the weights."""
        for task in self.weights:
            if task not in tasks:
                raise UserError(f"Uniform.weights: expected tasks among {', '.join(tasks)}; found `{task}`")

    def begin_step(self, progress: float) -> None:
        """Set a."""
        self._factor = progress if self.schedule == "rising" else 1.0

    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Add the gradient to `.grad`; returns a w_t of the tasks of the step."""
        terms = reduce(terms)
        weights = {
            t: torch.full_like(term.sum, self._factor * self.weights.get(t, self.default))
            for t, term in terms.task.items()
        }
        losses = [weights[t] * term.mean() for t, term in terms.task.items()]
        if self.balance == "task":
            backward(losses, terms)
        else:
            distill = [
                self._factor * self.weights.get(t, self.default) * term.mean() for t, term in terms.distill.items()
            ]
            backward([*losses, *distill], Terms())
        return weights
