"""Weights that let the norm of each task's gradient follow how fast the task learns."""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from tutelage.balance.objective import Balance
from tutelage.balance.on_gradients import GradientBalancer, Where
from tutelage.balance.task_gradients import Combined, TaskGradients
from tutelage.types import Distiller, MultiTaskNet, Task, Terms


class GradNorm(GradientBalancer):
    """GradNorm (Chen et al., ICML 2018, arXiv:1711.02257): learnt w_t, the gradient of sum_t w_t o_t.

    G_t = w_t |grad o_t|,   r_t = (o_t / o_t(0)) / mean_s (o_s / o_s(0)),   L_grad = sum_t |G_t - mean_s G_s r_t^alpha|

    where o_t(0) is that of the first step in which it is not 0, and the second term of L_grad is a constant. Before, an
    objective keeps its w_t, and is in no mean. w_t follow L_grad with the optimiser of the balancer, and are then
    scaled to sum to T. Heads get their task's gradient times w_t, as in the paper.

    Differs from the paper: grad o_t is with respect to what the heads read, or to all shared parameters, in place of
    the weights of the last shared layer, which an arbitrary network does not name. No w_t becomes negative.

    Args:
        alpha: How strongly a task that learns slowly is favoured: 0 makes all G_t equal.
        where: The gradients that are measured.
        balance: What o_t is, as for `GradientBalancer`.
    """

    weighs_heads = True

    def __init__(self, alpha: float = 1.5, where: Where = "representation", balance: Balance = "task") -> None:
        super().__init__(where, balance)
        self.alpha = alpha
        self.weights = nn.ParameterDict()  # w, by group

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Create w_t = 1."""
        super().setup(tasks, net, distiller)
        for group, names in self.names.items():
            self.weights[group] = nn.Parameter(torch.ones(len(names), device=self._device))

    def combine(self, gradients: TaskGradients) -> Combined:
        """sum_t w_t grad o_t, and the gradient of w."""
        w = self.weights[gradients.group]
        initial = gradients.memory.setdefault("initial", torch.full_like(w, torch.nan))
        first = initial[gradients.index]
        begins = first.isnan() & (gradients.losses != 0)
        initial[gradients.index] = first = torch.where(begins, gradients.losses, first)
        chosen, norms = w.detach()[gradients.index], gradients.norms()
        ratio = gradients.losses / first  # nan before o_t(0) is known
        measured = (chosen * norms).where(first.isfinite(), torch.nan)
        target = measured.nanmean() * (ratio / ratio.nanmean()) ** self.alpha
        w.grad = torch.zeros_like(w)
        w.grad[gradients.index] = ((measured - target).sign() * norms).where(first.isfinite(), 0.0)
        return Combined(weights=chosen, heads=chosen)

    def after_step(self, again: Callable[[bool], Terms]) -> None:
        """Scale w to sum to T."""
        with torch.no_grad():
            for w in self.weights.values():
                w.clamp_(min=0)
                w.mul_(len(w) / w.sum())
