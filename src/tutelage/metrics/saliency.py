"""Overlap of predicted and labelled salient pixels."""

import torch
from torch import Tensor

from tutelage.metrics.means import Means
from tutelage.metrics.thresholds import above, f_measure
from tutelage.types import MaskedTarget, MetricProtocol

_BETA_SQUARED = 0.3
_STEPS = 20  # thresholds 0.05, 0.10, ..., 0.95


class SaliencyMetric(Means):
    """Maximal F measure and intersection over union of the salient pixels in %, and mean absolute error.

    max_f = 100 max_k  1.3 P_k R_k / (0.3 P_k + R_k)        miou = 100 max_k J_k        mae = mean_p |q_p - y_p|

    P_k = n_k / s_k        R_k = n_k / l        J_k = n_k / (s_k + l - n_k)

    where s_k counts the labelled pixels whose probability q is above threshold k of 0.05, 0.10, ..., 0.95, n_k those of
    them that are salient (y = 1), and l the salient ones. 0.3 is beta^2, which gives precision more weight. `miou`
    is the name in the literature: it is the IoU of the salient class alone, at its own best threshold.

    dataset: n, s, l count the pixels of the whole set, as InvPT (arXiv:2203.07997) does for max_f. nan where the set
    has no salient pixel.
    image: P, R and J of every image, averaged over images **at each threshold** before the maximum is taken, as MTI-Net
    (arXiv:2001.06902) does. It has beta^2 = 1 and begins at 0.2. There and here, J is 1 where an image has no salient
    pixel and none is predicted; P and R are 0 where they would be 0 / 0.

    Args:
        protocol: `dataset` or `image`.
    """

    higher_is_better = True  # of the main one, max_f
    thresholds: Tensor  # [K]
    counts: Tensor  # [3, K], of the set: n, s, l

    def __init__(self, protocol: MetricProtocol = "dataset") -> None:
        k = _STEPS - 1
        super().__init__(protocol, quantities=1 if protocol == "dataset" else 1 + 3 * k)
        self.register_buffer("thresholds", torch.arange(1, _STEPS) / _STEPS, persistent=False)
        if protocol == "dataset":
            self.add_state("counts", torch.zeros(3, k, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: MaskedTarget) -> None:
        """Count probabilities [B, H, W] against `target`."""
        salient = target.valid & (target.value == 1)
        hits = above(prediction, salient, self.thresholds)  # n, [B, K]
        predicted = above(prediction, target.valid, self.thresholds)  # s
        labelled = salient.flatten(1).sum(1, keepdim=True).expand_as(predicted)
        error = torch.where(target.valid, prediction - salient.float(), 0).abs()
        mae, pixels = error.flatten(1).sum(1, keepdim=True, dtype=torch.float64), target.valid.flatten(1).sum(1)
        if self.protocol == "dataset":
            self.counts += torch.stack([hits, predicted, labelled]).sum(1)
            self.add(mae, pixels)
        else:
            shares = _shares(hits, predicted, labelled).movedim(0, 1).flatten(1)  # [B, 3 K]
            self.add(torch.cat([mae, shares * pixels.unsqueeze(1)], 1), pixels)  # `add` divides by the pixels

    def compute(self) -> dict[str, Tensor]:
        """{"max_f": %, "miou": %, "mae": share}."""
        mae, *rest = self.means()
        shares = _shares(*self.counts) if self.protocol == "dataset" else torch.stack(rest).reshape(3, -1)
        precision, recall, jaccard = shares
        max_f, miou = f_measure(precision, recall, _BETA_SQUARED).max(), jaccard.max()
        undefined = mae.isnan()  # comparisons do not show a nan
        if self.protocol == "dataset":
            undefined = undefined | (self.counts[2, 0] == 0)
        return {
            "max_f": torch.where(undefined, torch.nan, 100 * max_f),
            "miou": torch.where(undefined, torch.nan, 100 * miou),
            "mae": mae,
        }


def _shares(hits: Tensor, predicted: Tensor, labelled: Tensor) -> Tensor:
    """(P, R, J) in fp64, stacked."""
    union = predicted + labelled - hits
    jaccard = torch.where(union == 0, 1.0, hits.double() / union.clamp(min=1))
    return torch.stack([hits.double() / predicted.clamp(min=1), hits.double() / labelled.clamp(min=1), jaccard])
