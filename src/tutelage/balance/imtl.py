"""Impartial multi-task learning, on losses and gradients at once."""

from collections.abc import Mapping

import torch
from torch import nn

from tutelage.balance.objective import Balance
from tutelage.balance.on_gradients import GradientBalancer, Where
from tutelage.balance.task_gradients import Combined, TaskGradients
from tutelage.types import Distiller, MultiTaskNet, Task


class IMTLH(GradientBalancer):
    """IMTL, the hybrid (Liu et al., ICLR 2021, "Towards Impartial Multi-task Learning").

    heads:   the gradient of exp(s_t) o_t - s_t, which s_t, learnt from 0, follow too: in the end exp(s_t) o_t = 1
    shared:  sum_t a_t exp(s_t) grad o_t, with sum_t a_t = 1 and equal projections on every task's own direction

    IMTL-L gives the scales exp(s_t), IMTL-G the a_t of the scaled gradients, in closed form (`IMTLGWeighting` of
    torchjd, which also takes dependent gradients). s_t are for the optimiser of the balancer. The paper takes the
    gradients at the shared representation, as is the default here.

    Args:
        where: The gradients that are combined.
        balance: What o_t is, as for `GradientBalancer`.
    """

    weighs_heads = True

    def __init__(self, where: Where = "representation", balance: Balance = "task") -> None:
        super().__init__(where, balance)
        self.scales = nn.ParameterDict()  # s, by group

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Create s_t = 0."""
        super().setup(tasks, net, distiller)
        for group, names in self.names.items():
            self.scales[group] = nn.Parameter(torch.zeros(len(names), device=self._device))

    def combine(self, gradients: TaskGradients) -> Combined:
        """The impartial sum of the scaled gradients, and the gradient of s."""
        from torchjd.aggregation import IMTLGWeighting

        s = self.scales[gradients.group]
        scale = s.detach()[gradients.index].exp()
        s.grad = torch.zeros_like(s)
        s.grad[gradients.index] = scale * gradients.losses - 1
        scaled = gradients.gramian() * torch.outer(scale, scale)
        return Combined(weights=IMTLGWeighting()(scaled) * scale, heads=scale)
