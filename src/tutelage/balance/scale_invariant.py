"""The sum of the losses' logarithms."""

from collections.abc import Mapping

from torch import Tensor

from tutelage.balance.objective import Balance
from tutelage.balance.on_losses import LossBalancer
from tutelage.errors import positive_number


class ScaleInvariant(LossBalancer):
    """sum_t log(o_t): the gradient is that of sum_t w_t o_t with w_t = 1 / o_t, so that no task's unit matters.

    o_t is a scalar and has to be positive. Below epsilon, where the logarithm would run away, w_t stays at 1 / epsilon.

    Source: the scale-invariant baseline of Nash-MTL (Navon et al., ICML 2022, section 5). `GeometricMean` of torchjd
    has the same direction: its gradient is this one times G / T, with G the geometric mean of the T objectives.

    Args:
        balance: What o_t is, as for `Objectives`.
        epsilon: The smallest o_t that is divided by.

    Raises:
        ValueError: If `epsilon` is not positive or not finite.
    """

    def __init__(self, balance: Balance = "task", epsilon: float = 1e-8) -> None:
        super().__init__(balance)
        self.epsilon = positive_number("ScaleInvariant.epsilon", epsilon)

    def weigh(self, group: str, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """1 / o_t."""
        return {name: 1 / loss.detach().clamp(min=self.epsilon) for name, loss in losses.items()}
