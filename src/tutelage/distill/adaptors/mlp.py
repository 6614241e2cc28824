"""A nonlinear adaptor."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from tutelage.distill.adaptors.base import Adaptor, resized
from tutelage.errors import UserError


class MLP(Adaptor):
    """Two linear maps over the channels with a nonlinearity between, at each position of the student's feature.

    A(x)_p = W_2 f(n(W_1 x_p))

    where x_p are the channels at position p, f is the `activation` and n the `norm`. Two maps [B, C, H, W] of different
    resolution are resized after that, bilinearly (`align_corners=False`): unlike in `Conv1x1`, the two do not commute.

    Source: the default is the nonlinear adaptor of the follow-up's Visual Decathlon code (arXiv:2204.02744), two 1x1
    convolutions without bias, Xavier normal. `norm="layer"` and `activation="gelu"` are the heads of Ranzinger et al.,
    "AM-RADIO", CVPR 2024 (arXiv:2312.06709), which have biases and as many hidden channels as the widest teacher.

    Args:
        in_channels: Channels of the student's feature.
        out_channels: Channels of the teacher's feature.
        hidden: Channels between the two maps; None: twice `in_channels`.
        activation: f: `relu` or `gelu`.
        norm: n: `none`, or `layer`, a LayerNorm over the channels at each position. There is no batch norm: with it the
            images of a batch would see each other.

    Raises:
        ValueError: If `hidden` is below 1, or features that are not maps differ in their positions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden: int | None = None,
        activation: Literal["relu", "gelu"] = "relu",
        norm: Literal["none", "layer"] = "none",
    ) -> None:
        super().__init__(in_channels, out_channels)
        if hidden is not None and hidden < 1:
            raise UserError(f"MLP.hidden: expected at least 1, found {hidden}; leave it out for twice the input")
        width = 2 * in_channels if hidden is None else hidden
        self.first = nn.Linear(in_channels, width, bias=False)
        self.norm = nn.LayerNorm(width) if norm == "layer" else nn.Identity()
        self.activation = nn.ReLU() if activation == "relu" else nn.GELU()
        self.second = nn.Linear(width, out_channels, bias=False)
        for linear in (self.first, self.second):
            nn.init.xavier_normal_(linear.weight)

    def forward(self, feature: Tensor, size: Sequence[int]) -> Tensor:
        """The adapted feature [B, out_channels, *size] of a feature [B, in_channels, ...]."""
        hidden = self.activation(self.norm(self.first(feature.movedim(1, -1))))  # [B, ..., hidden]
        return resized(self.second(hidden).movedim(-1, 1), size)
