"""Losses made alike by the logarithm, gradients by their norm."""

import torch

from tutelage.balance.objective import Balance
from tutelage.balance.on_gradients import GradientBalancer
from tutelage.balance.task_gradients import Combined, TaskGradients
from tutelage.errors import positive_number


class DBMTL(GradientBalancer):
    """DB-MTL (Lin et al., arXiv:2308.12029, "Dual-Balancing for Multi-Task Learning").

    g_t <- grad log o_t + beta_k (g_t - grad log o_t),   the update is max_s |g_s| sum_t g_t / |g_t|

    with beta_k = beta / k^decay at step k, and g_t from the first gradient on. Heads get the gradient of log o_t. A
    loss has to be positive. The g_t are T x P numbers, which are saved.

    Args:
        beta: How much of the running gradient is kept at the first steps; 0 uses each step's own.
        decay: Power of the step by which beta falls.
        epsilon: The smallest o_t and |g_t| that is divided by.
        balance: What o_t is, as for `GradientBalancer`.

    Raises:
        ValueError: If `epsilon` is not positive or not finite.
    """

    weighs_heads = True

    def __init__(self, beta: float = 0.9, decay: float = 0.5, epsilon: float = 1e-8, balance: Balance = "task") -> None:
        super().__init__("parameters", balance)
        self.beta, self.decay, self.epsilon = beta, decay, positive_number("DBMTL.epsilon", epsilon)

    def combine(self, gradients: TaskGradients) -> Combined:
        """The sum of the running gradients, each as long as the longest."""
        memory, count = gradients.memory, len(self.names[gradients.group])
        if "g" not in memory:
            memory["steps"] = gradients.matrix.new_zeros(count)
            memory["g"] = gradients.matrix.new_zeros(count, gradients.matrix.shape[1])
        steps, inverse = memory["steps"][gradients.index], 1 / gradients.losses.clamp(min=self.epsilon)
        beta = torch.where(steps == 0, 0.0, self.beta / (steps + 1) ** self.decay)
        g = torch.lerp(gradients.matrix * inverse[:, None], memory["g"][gradients.index], beta[:, None])
        memory["g"][gradients.index], memory["steps"][gradients.index] = g, steps + 1
        norms = g.norm(dim=1)
        scale = norms.max() / norms.clamp(min=self.epsilon)
        return Combined(weights=scale * inverse, vector=scale @ g, heads=inverse)
