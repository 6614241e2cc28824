"""The paper's adaptor."""

from collections.abc import Sequence
from math import prod
from typing import Literal

from torch import Tensor, nn

from tutelage.distill.adaptors.base import Adaptor, resized


class Conv1x1(Adaptor):
    """1x1 convolution without bias, and bilinear resizing (`align_corners=False`) where the resolutions differ.

    Resizing mixes positions within a channel and the convolution mixes channels within a position, so the two commute.
    The convolution is done at the resolution with fewer positions. Equal resolutions are not resized. Features [B, C]
    of whole images and tokens [B, C, N] are multiplied by the same matrix and never resized.

    Source: the authors' NYU-v2 code (`kd4mtl`: same resolution; `url`: the bottleneck convolved, then upsampled) and,
    for [B, C], that of the follow-up for the Visual Decathlon.

    Args:
        in_channels: Channels of the student's feature.
        out_channels: Channels of the teacher's feature.
        init: `xavier_normal` (the authors' SegNet) or PyTorch's `default` (their MTAN).

    Raises:
        ValueError: If features that are not maps differ in their positions.
    """

    def __init__(
        self, in_channels: int, out_channels: int, init: Literal["xavier_normal", "default"] = "xavier_normal"
    ) -> None:
        super().__init__(in_channels, out_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        if init == "xavier_normal":
            nn.init.xavier_normal_(self.conv.weight)

    def forward(self, feature: Tensor, size: Sequence[int]) -> Tensor:
        """The adapted feature [B, out_channels, *size] of a feature [B, in_channels, ...]."""
        if feature.shape[2:].numel() <= prod(size):
            return resized(self._convolved(feature), size)
        return self._convolved(resized(feature, size))

    def _convolved(self, feature: Tensor) -> Tensor:
        as_map = feature if feature.ndim == 4 else feature.reshape(*feature.shape[:2], -1, 1)
        convolved: Tensor = self.conv(as_map)
        return convolved if feature.ndim == 4 else convolved.reshape(*convolved.shape[:2], *feature.shape[2:])
