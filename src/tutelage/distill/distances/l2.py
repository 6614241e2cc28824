"""The mean squared error of features."""

from torch import Tensor
from torch.nn.functional import mse_loss

from tutelage.distill.distances.base import Distance, fp32


class L2(Distance):
    """Mean squared difference of the features.

    d(a, b) = mean over channels c and positions p of (a_cp - b_cp)^2

    It lies in [0, infinity), is 0 only for equal features, is symmetric, and follows the scale of the features: tasks
    whose teachers have large features weigh more.

    Source: Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015 (arXiv:1412.6550), equation 3, which has half
    the sum in place of the mean, trains the layers up to the tap alone, and does so before the rest.
    """

    def per_image(self, a: Tensor, b: Tensor) -> Tensor:
        """d for each image, [B]."""
        return mse_loss(fp32(a), fp32(b), reduction="none").flatten(1).mean(1)
