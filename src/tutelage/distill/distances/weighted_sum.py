"""Several distances at once."""

from math import inf

import torch
from torch import Tensor, nn

from tutelage.distill.distances.base import Distance
from tutelage.errors import UserError


class WeightedSum(Distance):
    """d(a, b) = sum_i v_i d_i(a, b), such as the cosine and the smooth L1 of RADIO, Theia, UNIC and SAK.

    Args:
        parts: d_i.
        weights: v_i; None: 1 each.

    Raises:
        ValueError: If there are no parts, the numbers of parts and weights differ, or a weight is negative or not
            finite.
    """

    def __init__(self, parts: list[Distance], weights: list[float] | None = None) -> None:
        super().__init__()
        weights = [1.0] * len(parts) if weights is None else weights
        if not parts or len(weights) != len(parts):
            raise UserError(
                f"WeightedSum.weights: expected one for each of one distance or more, found {len(weights)} for "
                f"{len(parts)}"
            )
        for weight in weights:
            if not 0 <= weight < inf:
                raise UserError(f"WeightedSum.weights: expected numbers of at least 0, found {weight}")
        self.parts, self.weights = nn.ModuleList(parts), list(weights)

    def per_image(self, a: Tensor, b: Tensor) -> Tensor:
        """d for each image, [B]."""
        return torch.stack([w * part(a, b) for w, part in zip(self.weights, self.parts, strict=True)]).sum(0)

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return f"weights={self.weights}"
