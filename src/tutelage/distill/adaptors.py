"""A_t^k: brings the student's feature at a tap into the space of a teacher's feature."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import interpolate


class Adaptor(nn.Module, ABC):
    """A small network between one tap of the student and one feature of one teacher; dropped after training.

    Channels and resolutions that differ are its business. A method names the class; its constructor takes the two
    numbers of channels first.

    Args:
        in_channels: Channels of the student's feature.
        out_channels: Channels of the teacher's feature.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels

    @abstractmethod
    def forward(self, feature: Tensor, size: Sequence[int]) -> Tensor:
        """The adapted feature [B, out_channels, *size] of a feature [B, in_channels, ...].

        `size` is the teacher's spatial size.
        """


class Conv1x1(Adaptor):
    """1x1 convolution without bias, and bilinear resizing (`align_corners=False`) where the resolutions differ.

    Resizing mixes positions within a channel and the convolution mixes channels within a position, so the two commute;
    the convolution is done on whichever side has fewer positions. Equal resolutions are not resized.

    Source: the authors' NYU-v2 code (`kd4mtl`: same resolution; `url`: the bottleneck convolved, then upsampled).

    Args:
        in_channels: Channels of the student's feature.
        out_channels: Channels of the teacher's feature.
        init: `xavier_normal` (the authors' SegNet) or PyTorch's `default` (their MTAN).
    """

    def __init__(
        self, in_channels: int, out_channels: int, init: Literal["xavier_normal", "default"] = "xavier_normal"
    ) -> None:
        super().__init__(in_channels, out_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        if init == "xavier_normal":
            nn.init.xavier_normal_(self.conv.weight)

    def forward(self, feature: Tensor, size: Sequence[int]) -> Tensor:
        """The adapted feature [B, out_channels, H', W'] of a feature [B, in_channels, H, W], for size (H', W')."""
        height, width = size
        if feature.shape[2] * feature.shape[3] <= height * width:
            return _resize(self.conv(feature), height, width)
        adapted: Tensor = self.conv(_resize(feature, height, width))
        return adapted


class Identity(Adaptor):
    """No adaptor: the student's feature itself, resized where the resolutions differ.

    A control: without it one feature has to equal the features of all teachers at once.

    Args:
        in_channels: Channels of the student's feature.
        out_channels: Channels of the teacher's feature.

    Raises:
        ValueError: Where the two differ.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        if in_channels != out_channels:
            raise ValueError(
                "Identity: expected as many channels in the student's feature as in the teacher's, found "
                f"{in_channels} and {out_channels}; take Conv1x1"
            )

    def forward(self, feature: Tensor, size: Sequence[int]) -> Tensor:
        """The feature [B, C, *size]."""
        height, width = size
        return _resize(feature, height, width)


def _resize(feature: Tensor, height: int, width: int) -> Tensor:
    if feature.shape[2:] == (height, width):
        return feature
    return interpolate(feature, (height, width), mode="bilinear", align_corners=False)
