"""Balancing on the losses: one backward pass, whatever the method."""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.balance.objective import Balance, objectives
from tutelage.types import Balancer, MultiTaskNet, Output, Reduce, Terms


class LossBalancer(Balancer):
    """w_t of every task from the losses of a step; network and heads follow the gradient of sum_t w_t o_t.

    `weigh` is all that a method has to give. Heads get their own task's gradient times w_t, as the sum says. A step
    without a label of some task weighs the tasks that it has.

    Args:
        balance: what o_t is. `task`: the losses l_t, and the distillation terms d_t (lambda_t is in them) are added as
            they are, the paper's way; `task+distill`: l_t + d_t; `separately`: l_t, and d_t balanced among themselves
            by a second state of the same method.
    """

    whole_step = True

    def __init__(self, balance: Balance = "task") -> None:
        super().__init__()
        self.balance: Balance = balance

    @abstractmethod
    def weigh(self, group: str, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """w_t, detached, of each task in `losses`, which are scalars; `group` is "task", or "distill"."""

    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Add the gradient to `.grad`; returns w_t of the tasks of the step, as `distill/t` those of a second group."""
        losses, rest = objectives(reduce(terms), self.balance)
        weights: dict[str, Tensor] = {}
        roots, factors = list(rest), [torch.ones_like(x) for x in rest]
        for group, named in losses.items():
            found = self.weigh(group, named) if named else {}
            roots += [named[t] for t in found]
            factors += found.values()
            prefix = "" if group == "task" else f"{group}/"
            weights |= {f"{prefix}{t}": w for t, w in found.items()}
        differentiable = [(x, w) for x, w in zip(roots, factors, strict=True) if x.requires_grad]
        if differentiable:
            torch.autograd.backward(*zip(*differentiable, strict=True))  # type: ignore[arg-type]  # two tuples
        return weights
