"""Where a feature is large, not what it is."""

from torch import Tensor
from torch.nn.functional import normalize

from tutelage.distill.distances.base import Distance, fp32
from tutelage.errors import UserError


class AttentionTransfer(Distance):
    """Squared Euclidean distance of attention maps scaled to unit length over the positions.

    d(a, b) = || Q(a) / |Q(a)| - Q(b) / |Q(b)| ||^2,   Q(a)_p = sum over channels c of |a_cp|^p'

    where Q is a vector over the positions p, p' the exponent `p`, and norms are at least 1e-12. It lies in [0, 2], is
    symmetric, does not change when either feature is scaled nor when the channels of one are permuted or change sign,
    and is 0 where the two attention maps are proportional. Where one feature is zero at all positions it is 1, where
    both are it is 0, in either case without gradient for the one that is.

    Source: Zagoruyko and Komodakis, "Paying More Attention to Attention", ICLR 2017 (arXiv:1612.03928), equation 2 with
    squared norms, as in their code. That takes the mean over positions where this takes the sum, so that lambda need
    not follow the resolution; the paper has beta / 2 before it, with beta = 1000.

    Args:
        p: The exponent; the greater, the more the largest channels count.

    Raises:
        ValueError: If `p` is below 1; if features have a single position, at which the distance is always 0.
    """

    def __init__(self, p: float = 2.0) -> None:
        super().__init__()
        if p < 1:
            raise UserError(
                f"AttentionTransfer.p: expected at least 1, found {p}; below, the gradient is infinite at 0"
            )
        self.p = p

    def per_image(self, a: Tensor, b: Tensor) -> Tensor:
        """d for each image, [B]."""
        if a.shape[2:].numel() < 2:
            raise UserError(
                "AttentionTransfer: expected features with more than one position, over which attention differs, "
                f"found shape {tuple(a.shape)}; take another distance"
            )
        return (self._attention(a) - self._attention(b)).square().sum(1)

    def _attention(self, x: Tensor) -> Tensor:
        """Q(x) / |Q(x)|, [B, positions]."""
        return normalize(fp32(x).abs().pow(self.p).sum(1).flatten(1), dim=1)

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return f"p={self.p}"
