"""Several labels for the whole image."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from tutelage import metrics
from tutelage.errors import UserError
from tutelage.tasks.binary import logit_distillation_loss
from tutelage.tasks.categorical import class_names
from tutelage.tasks.masked import MaskedTask
from tutelage.tasks.palette import palette
from tutelage.tasks.whole_image import BLACK, of_image, words
from tutelage.types import Colour, MaskedTarget, MetricInfo, MetricProtocol, Picture, Term

if TYPE_CHECKING:
    from torchmetrics import Metric

_ABSENT: Colour = (64, 64, 64)
_LINES = 6  # classes that a picture names


class MultiLabel(MaskedTask):
    """Which of C classes an image has: any number of them.

    Label: float32 [B, C], 1 where the image has the class, 0 where not, nan where that is unknown. Head: C logits,
    [B, C]; those of a network for dense tasks, [B, C, h, w], are averaged over the positions. Activated: probabilities
    p = sigmoid(logit), [B, C].

    loss = - sum_(i,c) y_ic log p_ic + (1 - y_ic) log(1 - p_ic), over the known entries (i, c)

    Args:
        classes: C.
        names: The name of every class, for pictures; default: `class 0`, `class 1`, ...

    Raises:
        UserError: There is no class, there are more or fewer names than classes, or one name twice.
    """

    dense = False
    contents = frozenset({"numbers"})
    meaning = "probability of each class"
    main = "map"
    metric_info: Mapping[str, MetricInfo] = {"map": MetricInfo("%", True), "f1": MetricInfo("%", True)}
    regression = False

    def __init__(self, classes: int, names: list[str] | None = None) -> None:
        if classes < 1:
            raise UserError(f"MultiLabel: expected at least one class. Found `classes = {classes}`.")
        self.names = class_names("MultiLabel", classes, names)
        self.width = classes
        self.colours = palette(classes)

    def missing(self, image: Tensor) -> Tensor:
        """nan, [C]."""
        return torch.full((self.width,), torch.nan, device=image.device)

    def valid(self, label: Tensor) -> Tensor:
        """Which entries of labels [B, C] are 0 or 1."""
        return (label == 0) | (label == 1)

    def validate_values(self, label: Tensor) -> str | None:
        """A value that is not 0, 1 or nan."""
        wrong = sorted(set(label[(label != 0) & (label != 1) & ~label.isnan()].tolist()))
        if not wrong:
            return None
        return (
            "expected 1 where the image has the class, 0 where not and nan where that is not known, found "
            f"{', '.join(f'{x:g}' for x in wrong[:5])}; mend the file"
        )

    def activate(self, raw: Tensor) -> Tensor:
        """Probabilities, [B, C]."""
        with torch.autocast(raw.device.type, enabled=False):
            return of_image(raw).sigmoid()

    def loss(self, raw: Tensor, target: MaskedTarget) -> Term:
        """Binary cross-entropy summed over the known entries, and their number."""
        with torch.autocast(raw.device.type, enabled=False):
            label = torch.where(target.valid, target.value, 0)
            loss = binary_cross_entropy_with_logits(of_image(raw), label, reduction="none")
            total = torch.where(target.valid, loss, 0).sum()
        return Term(total, target.count())

    def distillation_loss(self, raw: Tensor, taught: Tensor, temperature: float = 1.0) -> Term:
        """`logit_distillation_loss` over all entries."""
        with torch.autocast(raw.device.type, enabled=False):
            return logit_distillation_loss(of_image(raw), of_image(taught), temperature)

    def metrics(self, protocol: MetricProtocol) -> "Metric":
        """Mean average precision and F1."""
        return metrics.MultiLabelMetric(self.width, protocol)

    def draw(self, value: Tensor, valid: Tensor | None = None) -> Picture:
        """The names of the likely classes, most probable first, above a strip with one cell per class: its colour where
        it is likely (0.5 or more), grey where not, black where that is unknown."""
        shown = ~value.isnan() if valid is None else valid
        value = torch.where(shown, value, 0)
        likely = [c for c in value.argsort(descending=True, stable=True).tolist() if value[c] >= 0.5]
        rows = [(self.names[c], self.colours[c]) for c in likely[:_LINES]]
        if len(likely) > _LINES:
            rows.append((f"and {len(likely) - _LINES} more", _ABSENT))
        if not rows:
            rows.append(("none", _ABSENT) if bool(shown.any()) else ("", BLACK))
        picture = words(rows)
        cells = [self.colours[c] if value[c] >= 0.5 else _ABSENT if k else BLACK for c, k in enumerate(shown.tolist())]
        columns = np.arange(picture.shape[1]) * self.width // picture.shape[1]
        strip = np.array(cells, dtype=np.uint8)[columns]
        return np.concatenate([picture, np.broadcast_to(strip, (8, *strip.shape))])
