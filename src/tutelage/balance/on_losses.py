"""Balancing on the losses: one backward pass, whatever the method."""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.balance.objective import Balance, Objectives, add_losses
from tutelage.types import Balancer, Distiller, MultiTaskNet, Output, Reduce, Task, Terms


class LossBalancer(Balancer):
    """w_t of every objective from the losses of a step; network and heads follow the gradient of sum_t w_t o_t.

    A method has to implement `weigh` alone. A head gets its own task's gradient times w_t. In a step without a label of
    some task the others are weighed.

    Args:
        balance: What o_t is, as for `Objectives`: `task`, `task+distill` or `separately`, with a second state of the
            same method for the distillation terms.
    """

    whole_step = True
    several_processes = True
    compilable = True
    completes = "backward"

    def __init__(self, balance: Balance = "task") -> None:
        super().__init__()
        self.objectives = Objectives(balance)

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Learn which objectives there are."""
        self.objectives = Objectives(self.objectives.balance, tasks, distiller)

    @abstractmethod
    def weigh(self, group: str, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """w_t, detached, of each objective in `losses`, which are scalars; `group` is "task" or "distill"."""

    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Add the gradient to `.grad`; returns w_t by objective, `distill/k` in the second group."""
        losses, rest = self.objectives.split(reduce(terms))
        whole = add_losses(losses, reduce.world, next(net.parameters()).device)
        weights: dict[str, Tensor] = {}
        roots, factors = list(rest), [torch.ones_like(x) for x in rest]
        for group, named in losses.items():
            of_group = self.weigh(group, whole[group]) if named else {}
            roots += [named[name] for name in of_group]
            factors += [w.to(named[name].dtype) for name, w in of_group.items()]
            prefix = "" if group == "task" else f"{group}/"
            weights |= {f"{prefix}{name}": w for name, w in of_group.items()}
        differentiable = [(x, w) for x, w in zip(roots, factors, strict=True) if x.requires_grad]
        if differentiable:
            torch.autograd.backward(*zip(*differentiable, strict=True))  # type: ignore[arg-type]  # two tuples
        return weights
