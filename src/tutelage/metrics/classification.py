"""Accuracy of the class of an image."""

import torch
from torch import Tensor

from tutelage.metrics.means import Means
from tutelage.types import MaskedTarget, MetricProtocol


class ClassificationMetric(Means):
    """Accuracy over images and over classes, in %.

    accuracy       = 100 sum_c n_c / sum_c l_c
    class_accuracy = 100 mean_c n_c / l_c, over the classes c that occur: l_c > 0

    where l_c counts the images labelled c and n_c those of them that are predicted as c. `class_accuracy` is also known
    as balanced accuracy; unlike torchmetrics' macro accuracy, it does not count a class that is only predicted.

    dataset: n and l count the images of the whole set.
    image: an image has one class, so that both are the share of the images whose class is predicted.

    Args:
        classes: C; predictions and valid labels are 0..C-1.
        protocol: `dataset` or `image`.
    """

    higher_is_better = True
    correct: Tensor  # n_c, [C]
    labelled: Tensor  # l_c, [C]

    def __init__(self, classes: int, protocol: MetricProtocol = "dataset") -> None:
        super().__init__(protocol, quantities=1)
        for state in ("correct", "labelled"):
            self.add_state(state, torch.zeros(classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: MaskedTarget) -> None:
        """Count classes predicted [B] against `target`."""
        hit = target.valid & (prediction == target.value)
        self.add(hit.double().unsqueeze(1), target.valid.long())
        label = torch.where(target.valid, target.value, 0)
        self.correct = self.correct.scatter_add(0, label, hit.long())
        self.labelled = self.labelled.scatter_add(0, label, target.valid.long())

    def compute(self) -> dict[str, Tensor]:
        """{"accuracy": %, "class_accuracy": %}."""
        accuracy = class_accuracy = self.means()[0]
        if self.protocol == "dataset":
            occurs = self.labelled > 0
            class_accuracy = (self.correct.double() / self.labelled.clamp(min=1)).sum() / occurs.sum()
        return {"accuracy": 100 * accuracy, "class_accuracy": 100 * class_accuracy}
