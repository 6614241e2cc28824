"""Average precision and F1 of images that may have several classes."""

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_average_precision
from torchmetrics.utilities import dim_zero_cat

from tutelage.metrics.means import Means
from tutelage.types import MaskedTarget, MetricProtocol

_UNKNOWN = -1


class MultiLabelMetric(Means):
    """Mean average precision, and F1 at a probability of 0.5, in %.

    AP = mean_i  precision among the entries that score at least s_i, over the positive entries i
    F1 = 2 tp / (2 tp + fp + fn), where a score above 0.5 says positive

    (AP is the sum of precision times the step of recall over all thresholds, without interpolation, as scikit-learn's.)
    Unknown entries are left out of both.

    dataset: AP and F1 of each class over the images of the set, and their mean over the classes with a known positive
    (macro). All scores are kept, with 5 bytes per entry.
    image: AP and F1 of each image over its classes, and their mean over the images with a known positive.

    The first measures how well the images of a class are ranked, the second how well the classes of an image are
    ranked. These are different quantities; mean average precision usually means the first.

    Args:
        classes: C.
        protocol: `dataset` or `image`.
    """

    higher_is_better = True
    scores: list[Tensor]  # [B, C] each, of the set
    labels: list[Tensor]  # int8, -1 where unknown

    def __init__(self, classes: int, protocol: MetricProtocol = "dataset") -> None:
        super().__init__(protocol, quantities=2)
        self.classes = classes
        if protocol == "dataset":
            self.add_state("scores", [], dist_reduce_fx="cat")
            self.add_state("labels", [], dist_reduce_fx="cat")

    def update(self, prediction: Tensor, target: MaskedTarget) -> None:
        """Count probabilities [B, C] against `target`."""
        labels = torch.where(target.valid, target.value, _UNKNOWN).to(torch.int8)
        if self.protocol == "dataset":
            self.scores.append(prediction.detach().float())
            self.labels.append(labels)
        else:
            values = torch.stack([_precision_by_image(prediction, labels), _f1(prediction, labels, 1)], 1)
            labelled = (labels == 1).any(1)
            self.add(torch.where(labelled.unsqueeze(1), values, 0), labelled)

    def compute(self) -> dict[str, Tensor]:
        """{"map": %, "f1": %}."""
        if self.protocol == "image":
            precision, f1 = self.means()
        elif len(self.scores):
            scores, labels = dim_zero_cat(self.scores), dim_zero_cat(self.labels)
            occurs = (labels == 1).any(0)
            scores, labels = scores[:, occurs], labels[:, occurs]
            precision = sum(map(_precision, scores.T, labels.T), self.total.new_zeros(())) / occurs.sum()
            f1 = _f1(scores, labels, 0).mean()
        else:
            precision = f1 = self.total.new_tensor(torch.nan)
        return {"map": 100 * precision, "f1": 100 * f1}


def _precision(scores: Tensor, labels: Tensor) -> Tensor:
    """The average precision of a class's scores [N] with at least one positive."""
    labelled = labels != _UNKNOWN
    if bool(scores[labelled].isnan().any()):
        return scores.new_tensor(torch.nan)  # sorting would hide it
    return binary_average_precision(scores[labelled], labels[labelled].long(), validate_args=False)


def _precision_by_image(scores: Tensor, labels: Tensor) -> Tensor:
    """The average precision of each row of [B, C]; nan without a positive."""
    labelled, positive = labels != _UNKNOWN, labels == 1
    above = (scores.unsqueeze(1) >= scores.unsqueeze(2)) & labelled.unsqueeze(1)  # [B, i, j]: j scores at least s_i
    precision = (above & positive.unsqueeze(1)).sum(2) / above.sum(2).double()
    total = torch.where(positive, precision, 0).sum(1)
    return torch.where((labelled & scores.isnan()).any(1), torch.nan, total / positive.sum(1))


def _f1(scores: Tensor, labels: Tensor, dim: int) -> Tensor:
    """F1 over one dimension of [B, C]; nan where nothing is positive or predicted as positive, or a score is nan."""
    labelled, positive = labels != _UNKNOWN, labels == 1
    predicted = (scores > 0.5) & labelled
    f1 = 2 * (predicted & positive).sum(dim) / (predicted.sum(dim) + positive.sum(dim)).double()
    return torch.where((scores.isnan() & labelled).any(dim), torch.nan, f1)
