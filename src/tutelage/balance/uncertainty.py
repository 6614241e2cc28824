"""Weights learnt from each task's own uncertainty."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tutelage.balance.objective import Balance, Objectives, backward, total
from tutelage.types import Balancer, Distiller, MultiTaskNet, Output, Reduce, Task, Terms


class Uncertainty(Balancer):
    """Uncertainty weighting (Kendall et al., CVPR 2018), as the distillation paper's authors run it.

    sum_t o_t / (c_t exp(s_t)) + s_t / 2, plus sum_t lambda_t d_t as it is

    where o_t = l_t, s_t, the log-variance of task t, is learnt, and c_t is 1 for classification and segmentation and 2
    for regression (`Task.regression`). For a fixed loss the best s_t is log(2 l_t / c_t). The s_t of a task without a
    label in a step does not move, whatever the optimiser. torchjd's `UW` differs: c = 2 for every task, s_t from 0.

    The authors learn s_t at the student's rate, 1e-4, which hardly moves it in a short run: `parameters()` are s_t, for
    an optimiser of their own.

    Args:
        initial: s_t before training.
        balance: What o_t is, as for `Objectives`; with `separately` the distillation terms have an s_t of their own.
            The c of a distillation term is that of its task, or 2 if it counts for several tasks or for none.
    """

    several_processes = True
    compilable = True
    completes = "backward"

    def __init__(self, initial: float = -0.5, balance: Balance = "task") -> None:
        super().__init__()
        self.initial = float(initial)
        self.objectives = Objectives(balance)
        self.log_variances = nn.ParameterDict()  # s_t; "distill/k" those of the distillation terms
        self.scales: dict[str, float] = {}  # c_t, by the same names

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Create s_t of every objective."""
        device = next(net.parameters()).device
        self.objectives = Objectives(self.objectives.balance, tasks, distiller)
        for group, names in self.objectives.names.items():
            for name in names:
                reached = self.objectives.tasks(group, name)
                self.scales[_label(group, name)] = 2.0 if len(reached) != 1 or tasks[reached[0]].regression else 1.0
                self.log_variances[_label(group, name)] = nn.Parameter(torch.tensor(self.initial, device=device))

    def summed(self, net: MultiTaskNet) -> list[nn.Parameter]:
        """None: the gradient of s_t, too, is that of a part of the images."""
        return []

    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Add the gradient to `.grad`; returns 1 / (c_t exp(s_t)) of every objective."""
        weights = {name: torch.exp(-s) / self.scales[name] for name, s in self.log_variances.items()}
        groups, rest = self.objectives.gather(reduce(terms))
        values = []
        for group, named in groups.items():
            for name, members in named.items():
                if not any(bool(member.term.count > 0) for member in members):
                    continue  # a gradient of 0 would move s_t by momentum
                weight, s = weights[_label(group, name)], self.log_variances[_label(group, name)]
                # s_t / 2 counts once per step
                values.append(weight * total(member.mean() for member in members) + reduce.share * s / 2)
        backward([*values, *(term.mean() for term in rest)])
        return {name: weight.detach() for name, weight in weights.items()}


def _label(group: str, name: str) -> str:
    return name if group == "task" else f"{group}/{name}"
