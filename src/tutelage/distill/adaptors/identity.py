"""No adaptor."""

from collections.abc import Sequence

from torch import Tensor

from tutelage.distill.adaptors.base import Adaptor, resized
from tutelage.errors import UserError


class Identity(Adaptor):
    """No adaptor: the student's feature itself, resized where the resolutions of two maps differ.

    A control: without an adaptor one feature has to equal the features of all teachers at once.

    Args:
        in_channels: Channels of the student's feature.
        out_channels: Channels of the teacher's feature.

    Raises:
        ValueError: If the two differ, or features that are not maps differ in their positions.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        if in_channels != out_channels:
            raise UserError(
                "Identity: expected as many channels in the student's feature as in the teacher's, found "
                f"{in_channels} and {out_channels}; use Conv1x1"
            )

    def forward(self, feature: Tensor, size: Sequence[int]) -> Tensor:
        """The feature [B, C, *size]."""
        return resized(feature, size)
