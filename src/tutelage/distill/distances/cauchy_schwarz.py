"""Features or logits as distributions, by a divergence less sensitive than Kullback-Leibler's."""

from math import inf

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from tutelage.distill.distances.base import Distance, fp32
from tutelage.errors import UserError, positive_number


class CauchySchwarz(Distance):
    """Cauchy-Schwarz divergence of the softmax over the channels, and of that over the positions.

    d(a, b) = v mean over positions p of D(softmax_c(a_p / T), softmax_c(b_p / T))
            + u mean over channels c of D(softmax_p(a_c / T), softmax_p(b_c / T)),
    D(p, q) = - log( sum_i p_i q_i / sqrt(sum_i p_i^2 sum_i q_i^2) )

    where a_p are the C channels at position p, a_c the positions of channel c, v and u the arguments `channels` and
    `positions`, T the temperature. D lies in [0, infinity), is symmetric and is 0 only for p = q; unlike KL(q || p) it
    stays moderate where the student gives almost no probability to what the teacher deems likely and to nothing else.
    The first term says nothing of a single channel (depth), the second nothing of a single position.

    Source: Xu, Yang and Zhang, "Multi-Task Learning with Knowledge Distillation for Dense Prediction", ICCV 2023, which
    matches the predictions of the student with those of one strong multi-task teacher. Ours to decide, since what is
    public of it does not say: the root in D (the literature has both D and 2 D); that "inter-task and intra-task"
    relations are softmaxes over the channels of a position and over the positions of a channel; T; no factor T^2.

    Args:
        channels: v.
        positions: u.
        temperature: T.

    Raises:
        ValueError: If a weight is negative or not finite, both are 0, or the temperature is not positive.
    """

    def __init__(self, channels: float = 1.0, positions: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__()
        for name, weight in (("channels", channels), ("positions", positions)):
            if not 0 <= weight < inf:
                raise UserError(f"CauchySchwarz.{name}: expected a weight of at least 0, found {weight}")
        if not 0 < channels + positions < inf:
            raise UserError("CauchySchwarz: expected `channels` or `positions` above 0, found both 0")
        self.channels, self.positions = channels, positions
        self.temperature = positive_number("CauchySchwarz.temperature", temperature)

    def per_image(self, a: Tensor, b: Tensor) -> Tensor:
        """d for each image, [B]."""
        a, b = (fp32(x).reshape(*x.shape[:2], -1) / self.temperature for x in (a, b))  # [B, C, P]
        terms = [w * divergence(a, b, dim).mean(1) for w, dim in ((self.channels, 1), (self.positions, 2)) if w]
        return torch.stack(terms).sum(0)

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return f"channels={self.channels}, positions={self.positions}, temperature={self.temperature}"


def divergence(a: Tensor, b: Tensor, dim: int) -> Tensor:
    """D of the softmaxes of logits along an axis, which goes; by logarithms, so that no product vanishes."""
    p, q = (log_softmax(x, dim) for x in (a, b))
    product, p_square, q_square = ((x + y).logsumexp(dim) for x, y in ((p, q), (p, p), (q, q)))
    return (p_square + q_square) / 2 - product
