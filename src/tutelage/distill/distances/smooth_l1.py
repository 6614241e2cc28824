"""Squared near 0, absolute beyond."""

from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from tutelage.distill.distances.base import Distance, fp32
from tutelage.errors import positive_number


class SmoothL1(Distance):
    """Mean over channels and positions of a loss that large differences enter linearly.

    d(a, b) = mean over channels c and positions p of s(a_cp - b_cp),
    s(x) = x^2 / (2 beta) where |x| < beta, else |x| - beta / 2

    It lies in [0, infinity), is 0 only for equal features, is symmetric, and follows the scale of the features, which
    is the unit of `beta`.

    Source: Wei et al., "Contrastive Learning Rivals Masked Image Modeling in Fine-tuning via Feature Distillation",
    arXiv:2205.14141, with beta 2 and the teacher's features standardised at each token, which is not done here; the
    loss itself is that of Girshick, "Fast R-CNN", ICCV 2015.

    Args:
        beta: Where the two parts meet, in the unit of the features.

    Raises:
        ValueError: If `beta` is not positive.
    """

    def __init__(self, beta: float = 2.0) -> None:
        super().__init__()
        self.beta = positive_number("SmoothL1.beta", beta, "for absolute values take 1e-6")

    def per_image(self, a: Tensor, b: Tensor) -> Tensor:
        """d for each image, [B]."""
        return smooth_l1_loss(fp32(a), fp32(b), reduction="none", beta=self.beta).flatten(1).mean(1)

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return f"beta={self.beta}"
