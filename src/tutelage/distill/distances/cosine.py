"""The angle between two features."""

from torch import Tensor
from torch.nn.functional import cosine_similarity

from tutelage.distill.distances.base import Distance, fp32


class Cosine(Distance):
    """One minus the cosine of the features over the channels.

    d(a, b) = mean over positions p of 1 - (a_p . b_p) / (|a_p| |b_p|)

    where a_p, b_p are the C channels at position p and norms are at least 1e-6. It lies in [0, 2], is 0 where a_p is a
    positive multiple of b_p everywhere, is symmetric and does not change when either feature is scaled. Where a feature
    is zero it is 1, and its gradient, of length 1e6 or, where both are zero, 0, means nothing. Elsewhere it is half of
    `NormalisedL2`.

    Source: the follow-up's Visual Decathlon code (arXiv:2204.02744), option `cosine`; it has no positions and guards
    with 1e-30.
    """

    def per_image(self, a: Tensor, b: Tensor) -> Tensor:
        """d for each image, [B]."""
        similarity: Tensor = cosine_similarity(fp32(a), fp32(b), dim=1, eps=1e-6)  # [B, ...]
        return 1 - similarity.reshape(len(a), -1).mean(1)
