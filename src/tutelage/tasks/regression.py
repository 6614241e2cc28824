"""Regression of numbers for the whole image."""

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss, smooth_l1_loss

from tutelage import metrics
from tutelage.errors import UserError
from tutelage.tasks.masked import MaskedTask
from tutelage.tasks.whole_image import BLACK, of_image, words
from tutelage.types import Colour, MaskedTarget, MetricInfo, MetricProtocol, Picture, Term, transfer

if TYPE_CHECKING:
    from torchmetrics import Metric

RegressionLoss = Literal["l1", "l2", "smooth_l1"]
_LOSSES = {"l1": l1_loss, "l2": mse_loss, "smooth_l1": smooth_l1_loss}
_GROUND: Colour = (64, 64, 64)


class Regression(MaskedTask):
    """D numbers for the whole image.

    Label: float32 [B, D], nan where a number is unknown. Head: D channels, [B, D], which are standardised values z;
    those of a network for dense tasks, [B, D, h, w], are averaged over the positions. Activated: z_d std_d + mean_d,
    [B, D].

    loss = sum_(i,d) l(z_id - (label_id - mean_d) / std_d), over the known entries (i, d)

    where l(e) is |e| (`l1`), e^2 (`l2`), or e^2 / 2 for |e| < 1 and |e| - 1/2 beyond (`smooth_l1`). Set `mean` and
    `std` to those of the training labels: then z starts near its targets, and numbers in different units have the same
    weight.

    Errors are measured in `unit`, which all D numbers share. Numbers in different units have no mean error: where D > 1
    and `unit` is empty, errors are divided by `std`, and so measured in standard deviations. To read each number in its
    own unit, use one task per number.

    Args:
        outputs: D.
        mean: The mean of every number; default: 0.
        std: The standard deviation of every number; default: 1.
        unit: The unit of all numbers, for the tables, such as `m` or `years`.
        loss: `l1`, `l2` or `smooth_l1`.
        names: The name of every number, for pictures; default: none for one, else `output 0`, `output 1`, ...

    Raises:
        UserError: There is no output; `mean`, `std` or `names` do not have one entry per output, or are not finite; a
            standard deviation is not positive; or the loss is unknown.
    """

    dense = False
    contents = frozenset({"numbers"})
    main = "abs_err"
    metric_info: Mapping[str, MetricInfo]
    regression = True

    def __init__(
        self,
        outputs: int = 1,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        unit: str = "",
        loss: RegressionLoss = "l1",
        names: list[str] | None = None,
    ) -> None:
        if outputs < 1:
            raise UserError(f"Regression: expected at least one output. Found `outputs = {outputs}`.")
        if names is None:
            names = [""] if outputs == 1 else [f"output {d}" for d in range(outputs)]
        self.names = names
        self.mean = [0.0] * outputs if mean is None else mean
        self.std = [1.0] * outputs if std is None else std
        for key, entries in (("mean", self.mean), ("std", self.std), ("names", self.names)):
            if len(entries) != outputs:
                raise UserError(
                    f"Regression: expected `{key}` with {outputs} entries, one per output. Found {len(entries)}: "
                    f"{entries}."
                )
        if not all(map(isfinite, self.mean)):
            raise UserError(f"Regression: expected `mean` to be finite. Found {self.mean}.")
        if not all(isfinite(s) and s > 0 for s in self.std):
            raise UserError(f"Regression: expected `std` to be positive and finite. Found {self.std}.")
        self.width = outputs
        self.kind = loss
        self.in_std = outputs > 1 and not unit and std is not None
        self.unit = self.meaning = unit
        shown = "std" if self.in_std else unit
        self.metric_info = {
            "abs_err": MetricInfo(shown, False),
            "rmse": MetricInfo(shown, False),
            "r2": MetricInfo("", True),
        }

    def missing(self, image: Tensor) -> Tensor:
        """nan, [D]."""
        return torch.full((self.width,), torch.nan, device=image.device)

    def valid(self, label: Tensor) -> Tensor:
        """Which entries of labels [B, D] are finite."""
        return label.isfinite()

    def validate_values(self, label: Tensor) -> str | None:
        """An infinite number."""
        if not bool(label.isinf().any()):
            return None
        return "expected finite numbers, or nan where a number is unknown, found inf; mend the file"

    def activate(self, raw: Tensor) -> Tensor:
        """z std + mean in fp32, [B, D]."""
        with torch.autocast(raw.device.type, enabled=False):
            mean, std = self._moments(raw.device)
            return of_image(raw) * std + mean

    def loss(self, raw: Tensor, target: MaskedTarget) -> Term:
        """The loss of standardised values summed over the known entries, and their number."""
        with torch.autocast(raw.device.type, enabled=False):
            mean, std = self._moments(raw.device)
            label = torch.where(target.valid, (target.value - mean) / std, 0)
            z = torch.where(target.valid, of_image(raw), 0)
            total = _LOSSES[self.kind](z, label, reduction="sum")
        return Term(total, target.count())

    def distillation_loss(self, raw: Tensor, taught: Tensor, temperature: float = 1.0) -> Term:
        """The loss against the teacher's numbers, at every output; the temperature has no effect."""
        value = self.activate(taught.detach())
        return self.loss(raw, MaskedTarget(value, torch.ones_like(value, dtype=torch.bool)))

    def metrics(self, protocol: MetricProtocol) -> "Metric":
        """Absolute error, root mean squared error and R^2."""
        return metrics.RegressionMetric(self.width, protocol, self.std if self.in_std else None)

    def draw(self, value: Tensor, valid: Tensor | None = None) -> Picture:
        """Numbers [D], one per line with name and unit."""
        shown = value >= -torch.inf if valid is None else valid  # all but nan
        texts = [f"{name} {x:.4g} {self.unit}".strip() for name, x in zip(self.names, value.tolist(), strict=True)]
        return words([(t, _GROUND) if k else ("", BLACK) for t, k in zip(texts, shown.tolist(), strict=True)])

    def _moments(self, device: torch.device) -> tuple[Tensor, Tensor]:
        mean, std = (transfer(torch.tensor(x), device, True) for x in (self.mean, self.std))
        return mean, std
