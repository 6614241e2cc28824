"""Errors of numbers that are predicted per image."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tutelage.metrics.means import Means
from tutelage.types import MaskedTarget, MetricProtocol

_CONSTANT = 1e-14  # a variance below this share of the mean square is rounding


class RegressionMetric(Means):
    """Mean absolute error, root of the mean squared error, and R^2 of D numbers per image.

    abs_err = mean |e_id|        rmse = sqrt(mean e_id^2)        r2 = mean_d  1 - sum_i e_id^2 / sum_i (y_id - m_d)^2

    where e_id = (prediction - label) / scale_d is the error of number d of image i, y its label, m_d the mean of the
    labels of number d, and all means and sums are over known entries alone. (R^2 does not depend on the scale.) A
    number whose known labels are all equal has no R^2 and is left out of the mean over d.

    dataset: means over all known entries of the set.
    image: the mean error, and the root, over the known entries of each image, then the mean over images. R^2 compares
    with the variance of a set and is undefined for one image: it is that of the set.

    Args:
        outputs: D.
        protocol: `dataset` or `image`.
        scale: What the errors are divided by, one positive number per output; default: 1.
    """

    higher_is_better = False  # of the main one, the absolute error
    scale: Tensor  # [D]
    moments: Tensor  # [4, D]: number of known labels, their sum, the sum of their squares, that of squared errors

    def __init__(
        self, outputs: int, protocol: MetricProtocol = "dataset", scale: Sequence[float] | None = None
    ) -> None:
        super().__init__(protocol, quantities=2)
        self.register_buffer("scale", torch.tensor(scale or [1.0] * outputs), persistent=False)
        self.add_state("moments", torch.zeros(4, outputs, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: MaskedTarget) -> None:
        """Count numbers [B, D] against `target`, in their unit."""
        label = torch.where(target.valid, target.value, 0).double()
        error = torch.where(target.valid, prediction.double() - label, 0)
        self.moments += torch.stack([target.valid, label, label**2, error**2]).sum(1)
        count, error = target.valid.sum(1), error / self.scale
        absolute, squared = error.abs().sum(1), (error**2).sum(1)
        if self.protocol == "image":
            squared = (squared * count).sqrt()  # `add` divides by the count: sqrt(S N) / N = sqrt(S / N)
        self.add(torch.stack([absolute, squared], 1), count)

    def compute(self) -> dict[str, Tensor]:
        """{"abs_err": in units of scale, "rmse": in units of scale, "r2": ratio}."""
        abs_err, rmse = self.means()
        if self.protocol == "dataset":
            rmse = rmse.sqrt()
        count, total, squares, errors = self.moments
        variance = squares - total**2 / count.clamp(min=1)
        varies = variance > _CONSTANT * squares
        r2 = torch.where(varies, 1 - errors / torch.where(varies, variance, 1), 0).sum() / varies.sum()
        return {"abs_err": abs_err, "rmse": rmse, "r2": r2}
