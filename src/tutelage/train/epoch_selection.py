"""The authors' choice of an epoch, used only under `train.official_quirks`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tutelage.types import Terms


class EpochSelection:
    """Keeps the weights of the epoch with the lowest training loss, as the authors' scripts do.

    They take a student's loss as the mean over the epoch, and a teacher's as that of the epoch's last batch. With
    accumulation it is the mean over the parts of all steps, each divided by its own labels.

    Args:
        last_batch: Take the loss of the last batch.
    """

    def __init__(self, last_batch: bool) -> None:
        self.last_batch = last_batch
        self.total, self.steps = torch.zeros(()), 0
        self.lowest = float("inf")
        self.weights: dict[str, Tensor] = {}

    def add(self, terms: Terms, weights: Mapping[str, Tensor]) -> None:
        """Add the loss of one step, w_t l_t + lambda_t d_t; w_t is 1 for a method that does not weigh losses."""
        loss = sum((weights.get(t, 1.0) * term.mean().detach() for t, term in terms.task.items()), torch.zeros(()))
        loss = loss + sum((term.mean().detach() for term in terms.distill.values()), torch.zeros(()))
        self.total = loss if self.last_batch else self.total + loss
        self.steps = 1 if self.last_batch else self.steps + 1

    def end_epoch(self, weights: Mapping[str, Tensor]) -> None:
        """Keep the weights if the epoch's loss is the lowest so far."""
        loss = float(self.total) / max(self.steps, 1)
        if loss < self.lowest:
            self.lowest = loss
            self.weights = {name: tensor.detach().clone() for name, tensor in weights.items()}
        self.total, self.steps = torch.zeros(()), 0

    def state_dict(self) -> dict[str, Any]:
        """The losses of this epoch, and the weights kept so far."""
        return {"total": self.total, "steps": self.steps, "lowest": self.lowest, "weights": dict(self.weights)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.total, self.steps, self.lowest = state["total"], state["steps"], state["lowest"]
        self.weights = dict(state["weights"])
