"""Overlap of predicted and labelled classes."""

import torch
from torch import Tensor

from tutelage.metrics.means import Means
from tutelage.types import MaskedTarget, MetricProtocol


class SegmentationMetric(Means):
    """Mean intersection over union and pixel accuracy, in %.

    miou           = 100 mean_c  n_cc / (l_c + p_c - n_cc), over the classes c that occur: l_c + p_c > 0
    pixel_accuracy = 100 sum_c n_cc / sum_c l_c

    where l_c counts the pixels labelled c, p_c those predicted as c and n_cc those with both. A class that is neither
    labelled nor predicted is left out of the mean; one that is only predicted counts as 0.

    dataset: n, l, p count the labelled pixels of the whole set.
    image: n, l, p count the pixels of one image, and the scores of the images are averaged. As in the authors' code,
    p_c counts **unlabelled pixels, too**, so that predictions there enlarge the union.

    Args:
        classes: C; predictions and valid labels are 0..C-1.
        protocol: `dataset` or `image`.
    """

    higher_is_better = True
    confusion: Tensor  # [C + 1, C], of the set: label x prediction; the last row: no label

    def __init__(self, classes: int, protocol: MetricProtocol = "dataset") -> None:
        super().__init__(protocol, quantities=2)
        self.classes = classes
        if protocol == "dataset":
            zeros = torch.zeros(classes + 1, classes, dtype=torch.int64)
            self.add_state("confusion", zeros, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: MaskedTarget) -> None:
        """Count classes predicted [B, H, W] against `target`."""
        confusion = self._confusion(prediction, target)
        if self.protocol == "dataset":
            self.confusion += confusion.sum(0)
        else:
            labelled = target.valid.flatten(1).any(1)  # [B]
            self.add(torch.where(labelled.unsqueeze(1), _scores(confusion), 0), labelled)

    def compute(self) -> dict[str, Tensor]:
        """{"miou": %, "pixel_accuracy": %}."""
        scores = _scores(self.confusion[:-1]) if self.protocol == "dataset" else self.means()
        miou, pixel_accuracy = 100 * scores
        return {"miou": miou, "pixel_accuracy": pixel_accuracy}

    def _confusion(self, prediction: Tensor, target: MaskedTarget) -> Tensor:
        # Of each image, [B, C + 1, C]. `bincount` would do, but waits for the device.
        images, c = len(prediction), self.classes
        row = torch.where(target.valid, target.value, c)
        image = torch.arange(images, device=prediction.device).reshape(-1, 1, 1)
        cell = ((image * (c + 1) + row) * c + prediction).flatten()
        counts = torch.zeros(images * (c + 1) * c, dtype=torch.int64, device=prediction.device)
        return counts.scatter_add_(0, cell, torch.ones_like(cell)).reshape(images, c + 1, c)


def _scores(confusion: Tensor) -> Tensor:
    """Shares [..., 2] of (miou, pixel accuracy) from [..., C or C + 1, C], of which the first C rows have labels."""
    classes = confusion.shape[-1]
    correct = confusion.diagonal(dim1=-2, dim2=-1).double()  # n_cc
    labelled = confusion[..., :classes, :].sum(-1)  # l_c
    union = labelled + confusion.sum(-2) - correct
    miou = (correct / union.clamp(min=1)).sum(-1) / (union > 0).sum(-1)
    return torch.stack([miou, correct.sum(-1) / labelled.sum(-1)], -1)
