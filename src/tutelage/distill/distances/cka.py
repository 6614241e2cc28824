"""Centred kernel alignment: which images are alike."""

from abc import abstractmethod
from math import inf
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from tutelage.distill.distances.base import Distance, fp32
from tutelage.errors import UserError


class CKA(Distance):
    """One minus the centred kernel alignment of the images of a batch: one value for the batch, given to every image.

    d(a, b) = 1 - <H K H, H L H> / (|H K H| |H L H|),   K_ij = k(x_i, x_j), L_ij = k(y_i, y_j)

    where x_i is the feature of image i, averaged over its positions and, with `normalise`, scaled to unit length over
    the channels (norms of at least 1e-6), y_i the same of b, H = I - 1/B centres, and products and norms are
    Frobenius's. The product is HSIC, the biased estimator, but for a factor that cancels. With it d lies in [0, 1], and
    nearer to 0 the fewer images there are beside the channels, so that batches of different sizes do not compare; the
    unbiased estimator (Nguyen et al., arXiv:2010.15327) has no such range and may be negative under a root.

    d is symmetric and 0 where the two features arrange the images alike: it does not change when either is rotated or,
    with `normalise`, scaled. A batch of one or two images has no arrangement: there d is 0, with zero gradient. Where
    all features are equal it is 1. It belongs to a batch: with accumulation, to each part of a step; with several
    processes, to the images of each.

    Source: Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019 (arXiv:1905.00414),
    which flattens maps and does not normalise. As a distance: the follow-up's Visual Decathlon code (arXiv:2204.02744),
    whose features are pooled and normalised as here (its guard is 1e-12).

    Args:
        normalise: Scale each image's feature to unit length first.
    """

    def __init__(self, normalise: bool = True) -> None:
        super().__init__()
        self.normalise = normalise

    def per_image(self, a: Tensor, b: Tensor) -> Tensor:
        """d for each image, [B], all equal."""
        if len(a) < 3:  # the centred kernels of two images are multiples of each other, those of one are 0
            return fp32(a).flatten(1)[:, :0].sum(1)  # 0 with zero gradient, also of features that are not finite
        k, l_ = (_centred(self.kernel(self._pooled(x))) for x in (a, b))
        return (1 - cosine_similarity(k.flatten(), l_.flatten(), dim=0, eps=1e-12)).expand(len(a))

    @abstractmethod
    def kernel(self, x: Tensor) -> Tensor:
        """k(x_i, x_j) for all pairs of images, [B, B], for features [B, C]."""

    def _pooled(self, x: Tensor) -> Tensor:
        pooled = fp32(x).reshape(*x.shape[:2], -1).mean(2)  # [B, C]
        return normalize(pooled, dim=1, eps=1e-6) if self.normalise else pooled

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return f"normalise={self.normalise}"


class LinearCKA(CKA):
    """`CKA` with the linear kernel, k(x, y) = x . y.

    Free of scale with and without `normalise`; without, also of a shift of all images.
    """

    def kernel(self, x: Tensor) -> Tensor:
        """Products of features, centred first for the sake of rounding: H K H is the same."""
        x = x - x.mean(0)
        return x @ x.T


class RBFCKA(CKA):
    """`CKA` with the Gaussian kernel, k(x, y) = exp(-|x - y|^2 / (2 sigma^2)), the follow-up's for classification.

    With the median for sigma it is free of scale with and without `normalise`; without, of a shift of all images.

    Args:
        bandwidth: sigma. "median": the median distance of two images of the batch, without pairs at distance 0, for
            each feature its own, and a constant for the gradient, as in the follow-up's code.
        normalise: Scale each image's feature to unit length first.

    Raises:
        ValueError: If the bandwidth is not positive.
    """

    def __init__(self, bandwidth: float | Literal["median"] = "median", normalise: bool = True) -> None:
        super().__init__(normalise)
        if bandwidth != "median" and not 0 < bandwidth < inf:
            raise UserError(f"RBFCKA.bandwidth: expected a positive number or `median`, found {bandwidth}")
        self.bandwidth: float | Literal["median"] = bandwidth

    def kernel(self, x: Tensor) -> Tensor:
        """Gaussians of distances; not from products, which would cancel where images are close."""
        squares = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square()
        return torch.exp(-squares / (2 * self._variance(x)))

    def _variance(self, x: Tensor) -> Tensor | float:
        """sigma^2."""
        if self.bandwidth != "median":
            return self.bandwidth**2
        pairs = torch.pdist(x.detach())
        median = torch.where(pairs > 0, pairs, torch.nan).nanmedian()
        return median.nan_to_num().square().clamp(min=1e-12)

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return f"bandwidth={self.bandwidth!r}, {super().extra_repr()}"


def _centred(kernel: Tensor) -> Tensor:
    """H K H."""
    return kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()
