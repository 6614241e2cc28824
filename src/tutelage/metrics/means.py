"""Means over valid positions, the base of all metrics."""

from typing import get_args

import torch
from torch import Tensor
from torchmetrics import Metric

from tutelage.errors import UserError
from tutelage.types import MetricProtocol


class Means(Metric):
    """Means of K quantities, over all valid positions of the set or over the means of its images.

    dataset: sum_i S_i / sum_i N_i
    image:   sum_i S_i / N_i / |{i : N_i > 0}|, over images i with N_i > 0

    where S_i [K] are the sums of the quantities over image i and N_i is its number of valid positions.

    Sums are fp64 and counts are integers, since a set may have more than 10^8 pixels: in fp32, 2^24 + 1 = 2^24. States
    add up over processes, and `update` of a subclass should never wait for the device.

    Args:
        protocol: `dataset` or `image`.
        quantities: K.

    Raises:
        UserError: `protocol` is neither.
    """

    full_state_update = False
    total: Tensor  # [K]
    count: Tensor  # of positions or of images

    def __init__(self, protocol: MetricProtocol, quantities: int) -> None:
        super().__init__()
        if protocol not in get_args(MetricProtocol):
            raise UserError(f"{type(self).__name__}: expected protocol `dataset` or `image`. Found `{protocol}`.")
        self.protocol = protocol
        self.add_state("total", torch.zeros(quantities, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def add(self, sums: Tensor, counts: Tensor) -> None:
        """Add S [B, K] and N [B] of B images."""
        if self.protocol == "image":
            sums = sums / counts.clamp(min=1).unsqueeze(1)
            counts = counts > 0
        self.total += sums.sum(0, dtype=torch.float64)
        self.count += counts.sum()

    def means(self) -> Tensor:
        """The K means; nan where the count is 0."""
        return self.total / self.count
