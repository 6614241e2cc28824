"""Weights learnt from each task's own uncertainty."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tutelage.balance.objective import backward
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
    """

    def __init__(self, initial: float = -0.5) -> None:
        super().__init__()
        self.initial = initial
        self.log_variances = nn.ParameterDict()  # s_t
        self.scales: dict[str, float] = {}  # c_t

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Create s_t of every task."""
        device = next(net.parameters()).device
        for t, task in tasks.items():
            self.scales[t] = 2.0 if task.regression else 1.0
            self.log_variances[t] = nn.Parameter(torch.tensor(self.initial, device=device))

    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Add the gradient to `.grad`; returns 1 / (c_t exp(s_t)) of every task."""
        terms = reduce(terms)
        weights = {t: torch.exp(-s) / self.scales[t] for t, s in self.log_variances.items()}
        losses = []
        for t, term in terms.task.items():
            present = (term.count > 0) * reduce.share  # s_t / 2 counts once a step, and only where l_t does
            losses.append(weights[t] * term.mean() + present * self.log_variances[t] / 2)
        backward(losses, terms)
        return {t: w.detach() for t, w in weights.items()}
