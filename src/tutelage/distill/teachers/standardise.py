"""Brings features of teachers that differ in scale to mean 0 and variance 1."""

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
        self._sums: tuple[Tensor, Tensor, int] | None = None  # of values and of squares [C], and the positions

    @torch.no_grad()
    def add(self, feature: Tensor) -> None:
        """Count a feature [B, C, ...] in the statistics, over all its images and positions; sums in fp64."""
        x = feature.double().movedim(1, -1).reshape(-1, feature.shape[1])  # [positions, C]
        total, square, count = self._sums or self._no_sums()
        self._sums = total + x.sum(0), square + x.square().sum(0), count + len(x)

    @torch.no_grad()
    def finish(self) -> None:
        """Set mean and standard deviation to those of the features added; mean 0 and deviation 1 if there are none."""
        total, square, count = self._sums or self._no_sums()
        mean = total / max(count, 1)
        variance = (square / max(count, 1) - mean.square()).clamp(min=0)
        floor = _SMALL * variance.max()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(variance > floor, variance, 1.0).sqrt())
        self._sums = None

    def _no_sums(self) -> tuple[Tensor, Tensor, int]:
        zeros = torch.zeros_like(self.mean, dtype=torch.float64)
        return zeros, zeros, 0

    def forward(self, feature: Tensor) -> Tensor:
        """The standardised feature, in fp32."""
        shape = (1, -1, *[1] * (feature.ndim - 2))
        return (feature.float() - self.mean.view(shape)) / self.std.view(shape)
