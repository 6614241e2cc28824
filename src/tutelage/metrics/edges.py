"""The F measure of edges."""

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from tutelage.metrics.means import Means
from tutelage.metrics.thresholds import above, f_measure
from tutelage.types import MaskedTarget, MetricProtocol

_STEPS = 100  # thresholds 0.01, 0.02, ..., 0.99


class EdgesMetric(Means):
    """The best F measure of edges over all thresholds, where an edge may be a few pixels off, in %.

    ods_f = 100 max_k  2 P_k R_k / (P_k + R_k)        P_k = n_k / s_k        R_k = m_k / l

    where s_k counts the labelled pixels whose probability is above threshold k of 0.01, 0.02, ..., 0.99; n_k those of
    them with a labelled edge within r pixels along both axes, l the labelled edge pixels, and m_k those of them with a
    prediction above the threshold within r pixels.

    **Not comparable with published odsF**, which come from the BSDS tool (Martin et al., 2004; SEISM): it thins the
    prediction, and matches every predicted pixel with at most one labelled pixel. Here several may match the same, so
    that thick predictions are not penalised within r pixels: the value is higher, and serves to compare networks with
    each other.

    dataset: n, s, m, l count the pixels of the whole set ("optimal dataset scale").
    image: the best threshold of every image, and the mean of their F over the images with a labelled edge; akin to the
    BSDS "optimal image scale", which adds up the counts instead.

    nan where the set has no labelled edge.

    Args:
        tolerance: r, in pixels.
        protocol: `dataset` or `image`.
    """

    higher_is_better = True
    thresholds: Tensor  # [K]
    counts: Tensor  # [4, K], of the set: n, s, m, l

    def __init__(self, tolerance: int = 3, protocol: MetricProtocol = "dataset") -> None:
        super().__init__(protocol, quantities=1)
        self.tolerance = tolerance
        self.register_buffer("thresholds", torch.arange(1, _STEPS) / _STEPS, persistent=False)
        if protocol == "dataset":
            self.add_state("counts", torch.zeros(4, _STEPS - 1, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: MaskedTarget) -> None:
        """Count probabilities [B, H, W] against `target`."""
        edge = target.valid & (target.value == 1)
        prediction = torch.where(target.valid, prediction, 0)  # unlabelled pixels cannot be near an edge
        correct = above(prediction, target.valid & (self._widest(edge.float()) > 0), self.thresholds)
        predicted = above(prediction, target.valid, self.thresholds)
        reached = above(self._widest(prediction), edge, self.thresholds)
        labelled = edge.flatten(1).sum(1, keepdim=True).expand_as(predicted)
        counts = torch.stack([correct, predicted, reached, labelled])  # [4, B, K]
        # counts do not show a nan: this does
        broken = torch.where(prediction.isnan().flatten(1).any(1, keepdim=True), torch.nan, 0)
        if self.protocol == "dataset":
            self.counts += counts.sum(1)
            self.add(broken, labelled[:, 0])
        else:
            self.add(broken + _best(counts).unsqueeze(1), labelled[:, 0] > 0)

    def compute(self) -> dict[str, Tensor]:
        """{"ods_f": %}."""
        (score,) = self.means()
        return {"ods_f": 100 * (score + _best(self.counts) if self.protocol == "dataset" else score)}

    def _widest(self, x: Tensor) -> Tensor:
        """The maximum within r pixels of every pixel of [B, H, W]."""
        return max_pool2d(x, 2 * self.tolerance + 1, stride=1, padding=self.tolerance)


def _best(counts: Tensor) -> Tensor:
    """The best F of counts [4, ..., K]; 0 where there is no edge."""
    correct, predicted, reached, labelled = counts.double()
    return f_measure(correct / predicted.clamp(min=1), reached / labelled.clamp(min=1), 1.0).amax(-1)
