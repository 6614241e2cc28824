"""Semantic segmentation."""

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax
from torchmetrics import Metric

from tutelage.metrics import SegmentationMetric
from tutelage.tasks.categorical import UNLABELLED, Categorical
from tutelage.tasks.palette import NYU13
from tutelage.types import Colour, DeterministicWarning, MetricInfo, MetricProtocol, Picture, Target, Term


class Segmentation(Categorical):
    """A class for every pixel.

    Label: int64 [B, H, W], classes 0..C-1, -1 where unlabelled. Head: C logits. Activated: the class with the largest
    logit, int64 [B, H, W].

    loss = - sum_p log softmax(logits_p)[label_p], over the labelled pixels p

    Args:
        classes: C.
        names: The name of every class, for pictures; default: NYU's for 13 classes, else `class 0`, `class 1`, ...

    Raises:
        ValueError: Where there are fewer than two classes or not as many names; in `target`, where a label in host
            memory is no class and not -1. (On a GPU, where looking would stall, such a pixel counts as unlabelled.)
    """

    contents = frozenset({"classes", "mask"})
    main = "miou"
    metric_info: Mapping[str, MetricInfo] = {"miou": MetricInfo("%", True), "pixel_accuracy": MetricInfo("%", True)}
    advice = "set the task's `classes`, name the values that mean no label in `ignore`, or mend the file"

    def __init__(self, classes: int = 13, names: list[str] | None = None) -> None:
        if names is None and classes == len(NYU13):
            names = list(NYU13)
        super().__init__(classes, names)

    def logits(self, raw: Tensor) -> Tensor:
        """[B, C, H, W]."""
        return raw.float()

    def missing(self, images: Tensor) -> Tensor:
        """-1 everywhere, [B, H, W]."""
        shape = (len(images), *images.shape[2:])
        return torch.full(shape, UNLABELLED, dtype=torch.int64, device=images.device)

    def loss(self, raw: Tensor, target: Target) -> Term:
        """Cross-entropy summed over the labelled pixels, and their number."""
        with torch.autocast(raw.device.type, enabled=False):
            if raw.is_cuda and torch.are_deterministic_algorithms_enabled():
                total = _cross_entropy(raw.float(), target)
            else:
                label = torch.where(target.valid, target.value, UNLABELLED)
                total = cross_entropy(raw.float(), label, ignore_index=UNLABELLED, reduction="sum")
        return Term(total, target.valid.sum())

    def metrics(self, protocol: MetricProtocol) -> Metric:
        """Mean intersection over union and pixel accuracy."""
        return SegmentationMetric(self.width, protocol)

    def draw(self, value: Tensor, valid: Tensor | None = None) -> Picture:
        """Classes [H, W] in their colours."""
        classes = value.cpu().numpy()
        known = (classes >= 0) & (classes < self.width)
        if valid is not None:
            known &= valid.cpu().numpy()
        colours = np.array([*self.colours, (0, 0, 0)], dtype=np.uint8)
        picture: Picture = colours[np.where(known, classes, self.width)]
        return picture

    def legend(self) -> list[tuple[str, Colour]]:
        """Name and colour of every class."""
        return list(zip(self.names, self.colours, strict=True))


def _cross_entropy(logits: Tensor, target: Target) -> Tensor:
    """The sum of the cross-entropy by operations that a GPU can do deterministically, which `nll_loss` is not."""
    warnings.warn(DeterministicWarning("nll_loss: gather in its place"), stacklevel=2)
    chosen = log_softmax(logits, 1).gather(1, torch.where(target.valid, target.value, 0).unsqueeze(1)).squeeze(1)
    return -torch.where(target.valid, chosen, 0.0).sum()
