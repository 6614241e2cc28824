"""d(a, b): how far an adapted feature of the student is from a teacher's feature."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.recorded import Recorded


class Distance(Recorded, nn.Module, ABC):
    """A distance between two features of the same shape, one value per image.

    Axis 0 is the images, axis 1 the channels, and all other axes are positions: [B, C, H, W] of a map, [B, C, N] of
    tokens, [B, C] of a whole image. A network whose tokens are [B, N, C] transposes them for its taps.

    It is computed in fp32 (fp64 for fp64 inputs), whatever the type of the features and outside the caller's autocast,
    which would otherwise run part of it in bf16.

    Raises:
        ValueError: If the shapes differ.
    """

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """d for each image, [B]: the mean over its positions. Its mean over the batch is the paper's d."""
        if a.shape != b.shape:
            raise UserError(
                f"Distance: expected features of equal shape, found {tuple(a.shape)} of the adaptor and "
                f"{tuple(b.shape)} of the teacher; use an adaptor that changes channels and resolution"
            )
        with torch.autocast(a.device.type, enabled=False):
            return self.per_image(a, b)

    @abstractmethod
    def per_image(self, a: Tensor, b: Tensor) -> Tensor:
        """What `forward` returns, in fp32, given features of any floating type."""


def fp32(x: Tensor) -> Tensor:
    """The feature in fp32, or in fp64 as it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
