"""Regression of numbers of the whole image."""

from collections.abc import Mapping
from math import isfinite
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss, smooth_l1_loss
from torchmetrics import Metric

from tutelage.errors import UserError
from tutelage.metrics import RegressionMetric
from tutelage.tasks.whole_image import BLACK, of_image, words
from tutelage.types import Colour, MetricInfo, MetricProtocol, Picture, Target, Task, Term

RegressionLoss = Literal["l1", "l2", "smooth_l1"]
_LOSSES = {"l1": l1_loss, "l2": mse_loss, "smooth_l1": smooth_l1_loss}
_GROUND: Colour = (64, 64, 64)


class Regression(Task):
    """D numbers for the whole image.

    Label: float32 [B, D], nan where one is not known. Head: D channels, [B, D], which are standardised values z; those
    of a network for dense tasks, [B, D, h, w], are averaged over the positions. Activated: z_d std_d + mean_d, [B, D].

    loss = sum_(i,d) l(z_id - (label_id - mean_d) / std_d), over the known entries (i, d)

    where l(e) is |e| (`l1`), e^2 (`l2`), or e^2 / 2 for |e| < 1 and |e| - 1/2 beyond (`smooth_l1`). Give the mean and
    the standard deviation of the training labels: then z starts near its values, and numbers of different units weigh
    the same.

    Errors are measured in `unit`, which all D numbers share. Where D > 1 and there is no common unit, their mean would
    add metres to years: without `unit`, the errors of several numbers are divided by their `std` and so measured in
    standard deviations (`std`). To read each in its own unit, make a task of each.

    Args:
        outputs: D.
        mean: Of every number; default: 0.
        std: The standard deviation of every number; default: 1.
        unit: Of all numbers, for the tables, such as `m` or `years`.
        loss: `l1`, `l2` or `smooth_l1`.
        names: The name of every number, for pictures; default: none for one, else `output 0`, `output 1`, ...

    Raises:
        ValueError: Where there is no output, or `mean`, `std` or `names` are not one an output, or not finite, or a
            standard deviation is not positive, or the loss is unknown.
    """

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
        if loss not in get_args(RegressionLoss):
            raise UserError(f"Regression: expected `loss` to be one of {', '.join(_LOSSES)}. Found `{loss}`.")
        if names is None:
            names = [""] if outputs == 1 else [f"output {d}" for d in range(outputs)]
        self.names = names
        self.mean = [0.0] * outputs if mean is None else mean
        self.std = [1.0] * outputs if std is None else std
        for key, given in (("mean", self.mean), ("std", self.std), ("names", self.names)):
            if len(given) != outputs:
                raise UserError(
                    f"Regression: expected `{key}` with {outputs} entries, one an output. Found {len(given)}: {given}."
                )
        if not all(map(isfinite, self.mean)):
            raise UserError(f"Regression: expected `mean` to be finite. Found {self.mean}.")
        if not all(isfinite(s) and s > 0 for s in self.std):
            raise UserError(f"Regression: expected `std` to be positive and finite. Found {self.std}.")
        self.width = outputs
        self.kind = loss
        self.in_std = outputs > 1 and not unit and std is not None
        self.unit = unit
        shown = "std" if self.in_std else unit
        self.metric_info = {
            "abs_err": MetricInfo(shown, False),
            "rmse": MetricInfo(shown, False),
            "r2": MetricInfo("", True),
        }

    def target(self, label: Tensor) -> Target:
        """The target of labels [B, D]: each entry is valid where it is finite."""
        return Target(label, label.isfinite())

    def validate(self, label: Tensor) -> str | None:
        """An infinite number."""
        if not bool(label.isinf().any()):
            return None
        return "expected finite numbers, or nan where one is not known, found inf; mend the file"

    def missing(self, images: Tensor) -> Tensor:
        """nan, [B, D]."""
        return torch.full((len(images), self.width), torch.nan, device=images.device)

    def activate(self, raw: Tensor) -> Tensor:
        """z std + mean in fp32, [B, D]."""
        with torch.autocast(raw.device.type, enabled=False):
            mean, std = self._moments(raw.device)
            return of_image(raw) * std + mean

    def loss(self, raw: Tensor, target: Target) -> Term:
        """The loss of standardised values summed over the known entries, and their number."""
        with torch.autocast(raw.device.type, enabled=False):
            mean, std = self._moments(raw.device)
            label = torch.where(target.valid, (target.value - mean) / std, 0)
            z = torch.where(target.valid, of_image(raw), 0)
            total = _LOSSES[self.kind](z, label, reduction="sum")
        return Term(total, target.valid.sum())

    def distillation_loss(self, raw: Tensor, taught: Tensor, temperature: float = 1.0) -> Term:
        """The loss against the teacher's numbers, at every output. There is no use for a temperature."""
        value = self.activate(taught.detach())
        return self.loss(raw, Target(value, torch.ones_like(value, dtype=torch.bool)))

    def metrics(self, protocol: MetricProtocol) -> Metric:
        """Absolute error, root mean squared error and R^2."""
        return RegressionMetric(self.width, protocol, self.std if self.in_std else None)

    def draw(self, value: Tensor, valid: Tensor | None = None) -> Picture:
        """Numbers [D], one a line with name and unit."""
        known = value >= -torch.inf if valid is None else valid  # all but nan
        texts = [f"{name} {x:.4g} {self.unit}".strip() for name, x in zip(self.names, value.tolist(), strict=True)]
        return words([(t, _GROUND) if k else ("", BLACK) for t, k in zip(texts, known.tolist(), strict=True)])

    def _moments(self, device: torch.device) -> tuple[Tensor, Tensor]:
        mean, std = (torch.tensor(x).to(device, non_blocking=True) for x in (self.mean, self.std))
        return mean, std
