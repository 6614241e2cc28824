"""The sum of the losses' logarithms."""

from collections.abc import Mapping

from torch import Tensor

from tutelage.balance.objective import Balance
from tutelage.balance.on_losses import LossBalancer


class ScaleInvariant(LossBalancer):
    """sum_t log(o_t), so that w_t = 1 / o_t: no task's unit matters.

    Source: the scale-invariant baseline of Nash-MTL (Navon et al., ICML 2022, section 5). `GeometricMean` of torchjd
    has the same direction, times the mean itself. A loss has to be positive.

    Args:
        balance: What o_t is, as for `Objectives`.
        epsilon: The smallest o_t that is divided by.
    """

    def __init__(self, balance: Balance = "task", epsilon: float = 1e-8) -> None:
        super().__init__(balance)
        self.epsilon = epsilon

    def weigh(self, group: str, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """1 / o_t."""
        return {name: 1 / loss.detach().clamp(min=self.epsilon) for name, loss in losses.items()}
