"""A_t^k: brings the student's feature at a tap into the space of a teacher's feature."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import interpolate

from tutelage.errors import UserError
from tutelage.recorded import Recorded


class Adaptor(Recorded, nn.Module, ABC):
    """A small network between one tap of the student and one feature of one teacher; dropped after training.

    It bridges channels and resolutions that differ. A method names the class; its constructor takes the two numbers of
    channels first. Channels are axis 1 of every feature, positions the axes after it: [B, C, H, W] of a map, [B, C, N]
    of tokens, [B, C] of a whole image.

    Args:
        in_channels: Channels of the student's feature.
        out_channels: Channels of the teacher's feature.
    """

    supplied = ("in_channels", "out_channels")

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels

    @abstractmethod
    def forward(self, feature: Tensor, size: Sequence[int]) -> Tensor:
        """The adapted feature [B, out_channels, *size] of a feature [B, in_channels, ...].

        `size` is the teacher's shape without images and channels: (H, W), (N,) or ().
        """


def resized(feature: Tensor, size: Sequence[int]) -> Tensor:
    """A map [B, C, H, W] at another resolution, bilinearly (`align_corners=False`); unchanged if it has the size.

    Raises:
        ValueError: If a feature that is not a map would have to be resized, or to become one.
    """
    if tuple(feature.shape[2:]) == tuple(size):
        return feature
    if feature.ndim != 4 or len(size) != 2:
        raise UserError(
            f"adaptor: expected maps [B, C, H, W], or equal positions, found {tuple(feature.shape[2:])} of the student "
            f"and {tuple(size)} of the teacher; match other taps, or use TokenWise for the tokens of a transformer"
        )
    return interpolate(feature, tuple(size), mode="bilinear", align_corners=False)
