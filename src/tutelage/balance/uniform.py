"""Fixed weights."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from tutelage.balance.objective import Balance, Objectives, backward
from tutelage.errors import UserError
from tutelage.types import Balancer, Distiller, MultiTaskNet, Output, Reduce, Task, Terms


class Uniform(Balancer):
    """a sum_t w_t l_t + sum_t lambda_t d_t with fixed w_t, 1 unless named.

    Args:
        weights: w_t by the name of an objective (`Objectives.names`): of a task; with `task+distill` also of a teacher
            without tasks; with `separately` also of a distillation term.
        default: w_t of the tasks that are not named; 0 trains on the teachers alone.
        schedule: a: `constant`, 1; or `rising`, linearly from 0 to 1 over the run, the weight of the labels in BAM's
            teacher annealing.
        balance: `task`: the distillation terms are added as they are, the paper's way. Otherwise a times a weight is a
            factor of each: the one that `weights` names, or the mean w_t of the tasks that it counts for, or `default`
            if it counts for none.

    Raises:
        ValueError: In `setup`, if `weights` names what is no objective.
    """

    several_processes = True
    compilable = True
    completes = "backward"

    def __init__(
        self,
        weights: dict[str, float] | None = None,
        default: float = 1.0,
        schedule: Literal["constant", "rising"] = "constant",
        balance: Balance = "task",
    ) -> None:
        super().__init__()
        self.objectives = Objectives(balance)
        self.weights = dict(weights or {})
        self.default, self.schedule = default, schedule
        self._factor = 1.0

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Check the names of the weights."""
        self.objectives = Objectives(self.objectives.balance, tasks, distiller)
        names = self.objectives.all_names()
        for name in self.weights:
            if name not in names:
                raise UserError(f"Uniform.weights: expected tasks among {', '.join(names)}; found `{name}`")

    def begin_step(self, progress: float) -> None:
        """Set a."""
        self._factor = progress if self.schedule == "rising" else 1.0

    def _weight(self, name: str, tasks: tuple[str, ...]) -> float:
        if name in self.weights or not tasks:
            return self._factor * self.weights.get(name, self.default)
        return self._factor * (sum(self.weights.get(t, self.default) for t in tasks) / len(tasks))

    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Add the gradient to `.grad`; returns a w_t of the tasks of the step, and of the teachers without a task."""
        terms = reduce(terms)
        weights = {t: torch.full_like(term.sum, self._weight(t, (t,))) for t, term in terms.task.items()}
        values = [weights[t] * term.mean() for t, term in terms.task.items()]
        if self.objectives.balance == "task":
            backward([*values, *(term.mean() for term in terms.distill.values())])
            return weights
        for key, term in terms.distill.items():
            if key in self.objectives.references:
                values.append(term.mean())
                continue
            weight = self._weight(key, self.objectives.taught(key))
            values.append(weight * term.mean())
            if not self.objectives.taught(key):
                weights[key] = torch.full_like(term.sum, weight)
        backward(values)
        return weights
