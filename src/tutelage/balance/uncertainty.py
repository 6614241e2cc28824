"""Weights learnt from each task's own uncertainty."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tutelage.balance.objective import Balance, backward
from tutelage.types import Balancer, Distiller, MultiTaskNet, Output, Reduce, Task, Terms


class Uncertainty(Balancer):
    """Uncertainty weighting (Kendall et al., CVPR 2018), as the distillation paper's authors run it.

    sum_t l_t / (c_t exp(s_t)) + s_t / 2, plus sum_t lambda_t d_t as it is

    where s_t, the log-variance of task t, is learnt, and c_t is 1 for classification and segmentation and 2 for
    regression (`Task.regression`). For a fixed loss the best s_t is log(2 l_t / c_t). A task without a label in a step
    moves no s_t. torchjd's `UW` differs: c = 2 for every task, s_t from 0.

    The authors learn s_t at the student's rate, 1e-4, which hardly moves it in a short run: `parameters()` are s_t, for
    an optimiser of their own.

    Args:
        initial: s_t before training.
        balance: what l_t is. `task`: the loss, and the distillation terms d_t (lambda_t is in them) are added as they
            are, the paper's way; `task+distill`: loss and d_t; `separately`: d_t have an s_t of their own.
    """

    def __init__(self, initial: float = -0.5, balance: Balance = "task") -> None:
        super().__init__()
        self.initial = initial
        self.balance: Balance = balance
        self.log_variances = nn.ParameterDict()  # s_t; "distill/t" those of the distillation terms
        self.scales: dict[str, float] = {}  # c_t

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Create s_t of every task."""
        device = next(net.parameters()).device
        for t, task in tasks.items():
            self.scales[t] = 2.0 if task.regression else 1.0
            for name in (t, f"distill/{t}") if self.balance == "separately" else (t,):
                self.log_variances[name] = nn.Parameter(torch.tensor(self.initial, device=device))

    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Add the gradient to `.grad`; returns 1 / (c_t exp(s_t)) of every task."""
        terms = reduce(terms)
        weights = {n: torch.exp(-s) / self.scales[n.removeprefix("distill/")] for n, s in self.log_variances.items()}
        objectives = {t: (term.mean(), term.count > 0) for t, term in terms.task.items()}
        if self.balance != "task":
            for t, term in terms.distill.items():
                name = f"distill/{t}" if self.balance == "separately" else t
                loss, present = objectives.get(name, (0.0, False))
                objectives[name] = (loss + term.mean(), present | (term.count > 0))
        losses = []
        for name, (loss, present) in objectives.items():
            # s_t / 2 counts once a step, and only where l_t does
            losses.append(weights[name] * loss + present * reduce.share * self.log_variances[name] / 2)
        backward(losses, terms if self.balance == "task" else Terms())
        return {t: w.detach() for t, w in weights.items()}
