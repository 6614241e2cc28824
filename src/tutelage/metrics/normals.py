"""Angular errors of surface normals."""

import torch
from torch import Tensor

from tutelage.metrics.means import Means
from tutelage.types import MaskedTarget, MetricProtocol

_THRESHOLDS = (11.25, 22.5, 30.0)  # degrees
_BINS_PER_DEGREE = 1000


class NormalsMetric(Means):
    """Mean and median angle in degrees, and the share of angles under 11.25, 22.5 and 30 degrees in %.

    angle_p = 2 atan2(|n_p - n*_p|, |n_p + n*_p|)

    at every valid pixel p, where n is the predicted and n* the true unit normal. It equals acos(n . n*), but stays
    accurate near 0 and 180 degrees, where the acos of a rounded product is off by up to 0.03 degrees or nan. For a
    prediction of length zero the angle is 90 degrees.

    The median of the image protocol is exact. That of the dataset protocol comes from a histogram of 0.001 degree, so
    that memory does not grow with the set: it is exact to 0.0005 degree. Both are the mean of the two middle angles
    where the number is even. A share counts angles strictly under its threshold.

    In the image protocol of the authors' code mean, median and shares are over a batch; here they are over an image, so
    that they do not depend on the batch size.

    Args:
        protocol: `dataset` or `image`.
    """

    higher_is_better = False  # of the main one, the mean angle
    histogram: Tensor  # [180 * bins per degree + 1]; bin k holds the angles that round to k / bins per degree

    def __init__(self, protocol: MetricProtocol = "dataset") -> None:
        super().__init__(protocol, quantities=2 + len(_THRESHOLDS))
        if protocol == "dataset":
            zeros = torch.zeros(180 * _BINS_PER_DEGREE + 1, dtype=torch.int64)
            self.add_state("histogram", zeros, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: MaskedTarget) -> None:
        """Count unit normals [B, 3, H, W] against `target`."""
        angle = _angle(prediction, target.value).flatten(1)  # [B, HW]
        valid = target.valid.flatten(1)
        count = valid.sum(1)
        mean = torch.where(valid, angle, 0).sum(1, dtype=torch.float64)
        under = [(valid & (angle < threshold)).sum(1) for threshold in _THRESHOLDS]
        if self.protocol == "dataset":
            median = torch.zeros_like(mean)  # from the histogram
            bins = (angle * _BINS_PER_DEGREE).round().nan_to_num(nan=0).long()
            self.histogram = self.histogram.scatter_add(0, bins.flatten(), valid.flatten().long())
        else:
            median = torch.where(count > 0, _median(angle, valid) * count, 0)  # `add` divides by the count
        self.add(torch.stack([mean, median, *under], 1), count)

    def compute(self) -> dict[str, Tensor]:
        """{"mean": degrees, "median": degrees, "within_11_25": %, "within_22_5": %, "within_30": %}."""
        mean, median, *under = self.means()
        if self.protocol == "dataset":
            median = _histogram_median(self.histogram)
        median = torch.where(mean.isnan(), torch.nan, median)  # sorting and counting do not show a nan
        names = [f"within_{threshold:g}".replace(".", "_") for threshold in _THRESHOLDS]
        return {"mean": mean, "median": median, **{n: 100 * share for n, share in zip(names, under, strict=True)}}


def _angle(a: Tensor, b: Tensor) -> Tensor:
    """Degrees between unit vectors [B, 3, ...]."""
    norm = torch.linalg.vector_norm
    return torch.rad2deg(2 * torch.atan2(norm(a - b, dim=1), norm(a + b, dim=1)))


def _median(x: Tensor, valid: Tensor) -> Tensor:
    """The median over the valid entries of every row of [B, N]; undefined without any."""
    ordered = torch.where(valid, x, torch.inf).sort(1).values
    count = valid.sum(1, keepdim=True)
    middle = torch.cat([(count - 1) // 2, count // 2], 1).clamp(0, x.shape[1] - 1)
    return ordered.gather(1, middle).double().mean(1)


def _histogram_median(histogram: Tensor) -> Tensor:
    """The mean of the two middle values."""
    count = histogram.sum()
    middle = torch.stack([(count - 1) // 2, count // 2])  # ranks, from 0
    bins = torch.searchsorted(histogram.cumsum(0), middle, right=True)
    return bins.double().mean() / _BINS_PER_DEGREE
