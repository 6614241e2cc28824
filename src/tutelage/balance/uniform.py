"""Fixed weights."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.balance.objective import backward
from tutelage.types import Balancer, MultiTaskNet, Output, Reduce, Task, Terms


class Uniform(Balancer):
    """sum_t w_t l_t + sum_t lambda_t d_t with fixed w_t, 1 unless named.

    Args:
        weights: w_t by task; a task that is not named has 1.

    Raises:
        ValueError: In `setup`, where `weights` names a task that is not there.
    """

    def __init__(self, weights: dict[str, float] | None = None) -> None:
        super().__init__()
        self.weights = dict(weights or {})

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet) -> None:
        """Check the names of the weights."""
        for task in self.weights:
            if task not in tasks:
                raise ValueError(f"Uniform.weights names the task {task!r}. Expected one of: {', '.join(tasks)}.")

    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Add the gradient to `.grad`; returns w_t of the tasks of the step."""
        terms = reduce(terms)
        weights = {t: torch.full_like(term.sum, self.weights.get(t, 1.0)) for t, term in terms.task.items()}
        backward((weights[t] * term.mean() for t, term in terms.task.items()), terms)
        return weights
