"""Semantic segmentation."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from tutelage import metrics
from tutelage.tasks.categorical import UNLABELLED, Categorical
from tutelage.types import (
    Colour,
    DeterministicWarning,
    Encoded,
    MaskedTarget,
    MetricInfo,
    MetricProtocol,
    Picture,
    Term,
)

if TYPE_CHECKING:
    from torchmetrics import Metric


class Segmentation(Categorical):
    """A class for every pixel.

    Label: int64 [B, H, W], classes 0..C-1, -1 where unlabelled. Head: C logits. Activated: the class with the largest
    logit, int64 [B, H, W].

    loss = - sum_p log softmax(logits_p)[label_p], over the labelled pixels p

    Args:
        classes: C.
        names: The name of every class, for pictures; default: `class 0`, `class 1`, ...

    Raises:
        UserError: There are fewer than two classes, or more or fewer names than classes; in `collate`, a label in host
            memory is neither a class nor -1. (On a GPU, where reading it would stall, such a pixel counts as
            unlabelled.)
    """

    dense = True
    contents = frozenset({"classes", "mask"})
    main = "miou"
    metric_info: Mapping[str, MetricInfo] = {"miou": MetricInfo("%", True), "pixel_accuracy": MetricInfo("%", True)}
    remedy = "set the task's `classes`, name the values that mean no label in `ignore`, or mend the file"

    def __init__(self, classes: int = 13, names: list[str] | None = None) -> None:
        super().__init__(classes, names)

    def logits(self, raw: Tensor) -> Tensor:
        """[B, C, H, W]."""
        return raw.float()

    def missing(self, image: Tensor) -> Tensor:
        """-1 everywhere, [H, W]."""
        return torch.full(image.shape[1:], UNLABELLED, dtype=torch.int64, device=image.device)

    def loss(self, raw: Tensor, target: MaskedTarget) -> Term:
        """Cross-entropy summed over the labelled pixels, and their number."""
        with torch.autocast(raw.device.type, enabled=False):
            if raw.is_cuda and torch.are_deterministic_algorithms_enabled():
                total = _cross_entropy(raw.float(), target)
            else:
                label = torch.where(target.valid, target.value, UNLABELLED)
                total = cross_entropy(raw.float(), label, ignore_index=UNLABELLED, reduction="sum")
        return Term(total, target.count())

    def metrics(self, protocol: MetricProtocol) -> "Metric":
        """Mean intersection over union and pixel accuracy."""
        return metrics.SegmentationMetric(self.width, protocol)

    def draw(self, value: Tensor, valid: Tensor | None = None) -> Picture:
        """Classes [H, W] in their colours."""
        classes = value.cpu().numpy()
        shown = (classes >= 0) & (classes < self.width)
        if valid is not None:
            shown &= valid.cpu().numpy()
        colours = np.array([*self.colours, (0, 0, 0)], dtype=np.uint8)
        picture: Picture = colours[np.where(shown, classes, self.width)]
        return picture

    def encode(self, value: Tensor) -> Encoded:
        """Classes [H, W] as their numbers, in 8 bits up to 255 classes, else in 16."""
        classes = value.cpu().numpy()
        return classes.astype(np.uint8) if self.width <= 255 else classes.astype(np.uint16)

    def legend(self) -> list[tuple[str, Colour]]:
        """Name and colour of every class."""
        return list(zip(self.names, self.colours, strict=True))


def _cross_entropy(logits: Tensor, target: MaskedTarget) -> Tensor:
    """The sum of the cross-entropy by operations that are deterministic on a GPU, which `nll_loss` is not."""
    warnings.warn(DeterministicWarning("nll_loss: replaced by gather"), stacklevel=2)
    chosen = log_softmax(logits, 1).gather(1, torch.where(target.valid, target.value, 0).unsqueeze(1)).squeeze(1)
    return -torch.where(target.valid, chosen, 0.0).sum()
