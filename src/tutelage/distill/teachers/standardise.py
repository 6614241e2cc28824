"""Brings features of teachers that differ in scale to mean 0 and variance 1."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_SMALL = 1e-6  # of the largest variance: a channel that hardly varies is not blown up


class Standardise(nn.Module):
    """(phi - mean) / std by channel, with statistics that are estimated once and then part of `state_dict`.

    Without it, a teacher whose features are large outweighs the others, and a few channels far from 0 outweigh all
    other channels. As in RADIO (Ranzinger et al., CVPR 2024, arXiv:2312.06709) and Theia (Shang et
    al., CoRL 2024, arXiv:2407.20179).

    Args:
        channels: Of the feature, its axis 1.
    """

    mean: Tensor  # [C]
    std: Tensor  # [C]

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    @torch.no_grad()
    def estimate(self, features: Iterable[Tensor]) -> None:
        """Mean and standard deviation over all images and positions of features [B, C, ...]; sums in fp64."""
        total = torch.zeros_like(self.mean, dtype=torch.float64)
        square, count = torch.zeros_like(total), 0
        for feature in features:
            x = feature.double().movedim(1, -1).reshape(-1, feature.shape[1])  # [positions, C]
            total, square, count = total + x.sum(0), square + x.square().sum(0), count + len(x)
        mean = total / max(count, 1)
        variance = (square / max(count, 1) - mean.square()).clamp(min=0)
        floor = _SMALL * variance.max()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(variance > floor, variance, 1.0).sqrt())

    def forward(self, feature: Tensor) -> Tensor:
        """The standardised feature, in fp32."""
        shape = (1, -1, *[1] * (feature.ndim - 2))
        return (feature.float() - self.mean.view(shape)) / self.std.view(shape)
