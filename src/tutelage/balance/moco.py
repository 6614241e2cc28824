"""Multi-objective gradients, corrected by a running estimate of each."""

import torch
from torch import Tensor

from tutelage.balance.objective import Balance
from tutelage.balance.on_gradients import GradientBalancer
from tutelage.balance.rows import gramian
from tutelage.balance.task_gradients import Combined, TaskGradients


class MoCo(GradientBalancer):
    """MoCo (Fernando et al., ICLR 2023, "Mitigating Gradient Bias in Multi-objective Learning").

    y_t <- y_t - beta_k (y_t - grad o_t),   w <- P(w - gamma_k (Y Y^T + rho I) w),   the update is sum_t w_t y_t

    where beta_k = beta / k^decay, gamma_k likewise at step k, and P projects on the simplex. y_t follows the gradient
    without the noise of a single batch, so that w is not biased by it. w starts at 1 / T. Heads get their own task's
    gradient, unweighted.

    Differs from the paper: the update takes the y_t and w of its own step; y_t starts at the first gradient, not at 0,
    and is not projected on a ball, which only the analysis needs. LibMTL has a softmax in place of P and scales
    gradients to the size of the losses. beta, gamma and their decay are LibMTL's defaults. Tasks without a label in a
    step keep their w; the others share the rest. Y has T x P numbers, which are saved.

    Args:
        beta: How fast y_t follows at the first step; 1 keeps nothing of earlier steps.
        gamma: How fast w moves at the first step.
        rho: Pulls w towards equal weights.
        decay: Power of the step by which beta and gamma fall.
        balance: What o_t is, as for `GradientBalancer`.
    """

    def __init__(
        self, beta: float = 0.5, gamma: float = 0.1, rho: float = 0.0, decay: float = 0.5, balance: Balance = "task"
    ) -> None:
        super().__init__("parameters", balance)
        self.beta, self.gamma, self.rho, self.decay = beta, gamma, rho, decay

    def combine(self, gradients: TaskGradients) -> Combined:
        """sum_t w_t y_t."""
        memory, count = gradients.memory, len(self.names[gradients.group])
        if "w" not in memory:
            memory["w"] = gradients.matrix.new_full((count,), 1 / count)
            memory["steps"] = gradients.matrix.new_zeros(count)
            memory["y"] = gradients.matrix.new_zeros(count, gradients.matrix.shape[1])
        y, w, steps = (memory[name][gradients.index] for name in ("y", "w", "steps"))
        beta = torch.where(steps == 0, 1.0, self.beta / (steps + 1) ** self.decay)
        y = torch.lerp(y, gradients.matrix, beta[:, None])
        gamma = self.gamma / (steps.max() + 1) ** self.decay
        share = w.sum()  # of the tasks of this step, which divide it among themselves
        w = torch.where(share > 0, w / share, 1 / len(w))
        products, exact = gramian(y).double(), w.double()  # large numbers, of which the differences count
        w = simplex(exact - gamma * (products @ exact + self.rho * exact)).to(w)
        for name, value in (("y", y), ("w", w * share), ("steps", steps + 1)):
            memory[name][gradients.index] = value
        return Combined(weights=w, vector=w @ y)


def simplex(v: Tensor) -> Tensor:
    """The nearest point to v, [m], with no negative entry and the sum 1 (Duchi et al., ICML 2008)."""
    v = v - v.max()  # which changes nothing but rounding
    ordered = v.sort(descending=True).values
    over = (ordered.cumsum(0) - 1) / torch.arange(1, len(v) + 1, device=v.device)
    last = (ordered > over).sum(0, keepdim=True).clamp(min=1) - 1  # [1]: a number would be read on the host
    return (v - over.gather(0, last)).clamp(min=0)
