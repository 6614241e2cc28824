"""Classification of the whole image."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tutelage import metrics
from tutelage.errors import UserError
from tutelage.tasks.categorical import UNLABELLED, Categorical
from tutelage.tasks.whole_image import BLACK, of_image, words
from tutelage.types import MaskedTarget, MetricInfo, MetricProtocol, Picture, Term

if TYPE_CHECKING:
    from torchmetrics import Metric


class Classification(Categorical):
    """A class for the whole image.

    Label: int64 [B], classes 0..C-1, -1 where unlabelled. Head: C logits, [B, C]; those of a network for dense tasks,
    [B, C, h, w], are averaged over the positions. Activated: the class with the largest logit, int64 [B].

    loss = - sum_i sum_c q_ic log softmax(logits_i)_c, over the labelled images i

    where q_ic is 1 - epsilon for the labelled class and 0 for others, plus epsilon / C for all of them (label
    smoothing, Szegedy et al., arXiv:1512.00567).

    Args:
        classes: C.
        names: The name of every class, for pictures; default: `class 0`, `class 1`, ...
        label_smoothing: epsilon, in [0, 1).

    Raises:
        UserError: There are fewer than two classes, or more or fewer names than classes, or `label_smoothing` is out of
            range; in `collate`, a label in host memory is neither a class nor -1. (On a GPU, where reading it would
            stall, such an image counts as unlabelled.)
    """

    dense = False
    contents = frozenset({"class"})
    main = "accuracy"
    metric_info: Mapping[str, MetricInfo] = {"accuracy": MetricInfo("%", True), "class_accuracy": MetricInfo("%", True)}

    def __init__(self, classes: int, names: list[str] | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__(classes, names)
        if not 0 <= label_smoothing < 1:
            raise UserError(
                f"Classification: expected `label_smoothing` of at least 0 and below 1. Found {label_smoothing}."
            )
        self.label_smoothing = label_smoothing

    def logits(self, raw: Tensor) -> Tensor:
        """[B, C]."""
        return of_image(raw)

    def missing(self, image: Tensor) -> Tensor:
        """-1, []."""
        return torch.full((), UNLABELLED, dtype=torch.int64, device=image.device)

    def loss(self, raw: Tensor, target: MaskedTarget) -> Term:
        """Cross-entropy summed over the labelled images, and their number."""
        with torch.autocast(raw.device.type, enabled=False):
            label = torch.where(target.valid, target.value, UNLABELLED)
            total = cross_entropy(
                self.logits(raw),
                label,
                ignore_index=UNLABELLED,
                reduction="sum",
                label_smoothing=self.label_smoothing,
            )
        return Term(total, target.count())

    def metrics(self, protocol: MetricProtocol) -> "Metric":
        """Accuracy, over images and over classes."""
        return metrics.ClassificationMetric(self.width, protocol)

    def draw(self, value: Tensor, valid: Tensor | None = None) -> Picture:
        """A class [] as its name on its colour."""
        c = int(value)
        if not 0 <= c < self.width or (valid is not None and not valid):
            return words([("", BLACK)])
        return words([(self.names[c], self.colours[c])])
