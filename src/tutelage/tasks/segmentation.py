"""Semantic segmentation."""

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from torchmetrics import Metric

from tutelage.metrics import SegmentationMetric
from tutelage.tasks.palette import NYU13, palette
from tutelage.types import Colour, DeterministicWarning, MetricInfo, MetricProtocol, Picture, Target, Task, Term

_UNLABELLED = -1


class Segmentation(Task):
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

    main = "miou"
    metric_info: Mapping[str, MetricInfo] = {"miou": MetricInfo("%", True), "pixel_accuracy": MetricInfo("%", True)}
    regression = False

    def __init__(self, classes: int = 13, names: list[str] | None = None) -> None:
        if classes < 2:
            raise ValueError(f"Segmentation: expected at least two classes. Found `classes = {classes}`.")
        if names is None:
            names = list(NYU13) if classes == len(NYU13) else [f"class {c}" for c in range(classes)]
        if len(names) != classes:
            raise ValueError(f"Segmentation: expected {classes} names, one a class. Found {len(names)}: {names}.")
        self.width = classes
        self.names = names
        self.colours = palette(classes)

    def target(self, label: Tensor) -> Target:
        """The target of labels [B, H, W]."""
        if label.device.type == "cpu" and label.numel():
            least, most = (int(x) for x in label.aminmax())
            if least < _UNLABELLED or most >= self.width:
                wrong = most if most >= self.width else least
                raise ValueError(
                    f"Segmentation: expected labels 0..{self.width - 1}, or -1 where unlabelled. Found {wrong}; change "
                    "`classes` or the labels."
                )
        return Target(label, (label >= 0) & (label < self.width))

    def problem(self, label: Tensor) -> str | None:
        """A value that is no class and not -1."""
        wrong = sorted(set(label[(label < _UNLABELLED) | (label >= self.width)].tolist()))
        if not wrong:
            return None
        found = ", ".join(map(str, wrong[:5])) + (", ..." if len(wrong) > 5 else "")
        return (
            f"expected classes 0..{self.width - 1}, or {_UNLABELLED} where unlabelled, found {found}; set the task's "
            "`classes`, name the values that mean no label in `ignore`, or mend the file"
        )

    def missing(self, images: Tensor) -> Tensor:
        """-1 everywhere, [B, H, W]."""
        shape = (len(images), *images.shape[2:])
        return torch.full(shape, _UNLABELLED, dtype=torch.int64, device=images.device)

    def activate(self, raw: Tensor) -> Tensor:
        """The most likely class, [B, H, W]."""
        return raw.argmax(1)

    def loss(self, raw: Tensor, target: Target) -> Term:
        """Cross-entropy summed over the labelled pixels, and their number."""
        with torch.autocast(raw.device.type, enabled=False):
            if raw.is_cuda and torch.are_deterministic_algorithms_enabled():
                total = _cross_entropy(raw.float(), target)
            else:
                label = torch.where(target.valid, target.value, _UNLABELLED)
                total = cross_entropy(raw.float(), label, ignore_index=_UNLABELLED, reduction="sum")
        return Term(total, target.valid.sum())

    def imitate(self, raw: Tensor, taught: Tensor, temperature: float = 1.0) -> Term:
        """T^2 KL(softmax(taught / T) || softmax(raw / T)) summed over all pixels, and their number.

        T^2 keeps the gradient's size (Hinton et al., arXiv:1503.02531). At T = 1 the gradient is that of the
        cross-entropy with the teacher's probabilities as labels.
        """
        with torch.autocast(raw.device.type, enabled=False):
            said = log_softmax(raw.float() / temperature, 1)
            meant = log_softmax(taught.detach().float() / temperature, 1)
            total = temperature**2 * kl_div(said, meant, reduction="sum", log_target=True)
        return Term(total, torch.full((), raw[:, 0].numel(), device=raw.device))

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
