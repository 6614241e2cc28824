"""Errors of depth."""

import torch
from torch import Tensor

from tutelage.metrics.means import Means
from tutelage.types import MaskedTarget, MetricProtocol


class DepthMetric(Means):
    """Mean absolute error in metres and mean relative error as a ratio.

    abs_err = mean_p |z_p - z*_p|        rel_err = mean_p |z_p - z*_p| / z*_p

    over the valid pixels p, where z is the predicted and z* the true depth. In the image protocol of the authors' code
    the mean is over a batch; here it is over an image, so that it does not depend on the batch size.

    Args:
        protocol: `dataset` or `image`.
    """

    higher_is_better = False

    def __init__(self, protocol: MetricProtocol = "dataset") -> None:
        super().__init__(protocol, quantities=2)

    def update(self, prediction: Tensor, target: MaskedTarget) -> None:
        """Count depths [B, 1, H, W] against `target`."""
        valid = target.valid.unsqueeze(1)  # [B, 1, H, W]
        error = torch.where(valid, prediction - target.value, 0).abs()
        relative = error / torch.where(valid, target.value, 1)
        sums = torch.stack([x.flatten(1).sum(1, dtype=torch.float64) for x in (error, relative)], 1)
        self.add(sums, target.valid.flatten(1).sum(1))

    def compute(self) -> dict[str, Tensor]:
        """{"abs_err": metres, "rel_err": ratio}."""
        abs_err, rel_err = self.means()
        return {"abs_err": abs_err, "rel_err": rel_err}
