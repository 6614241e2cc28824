"""Surface normals."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tutelage import metrics
from tutelage.tasks.masked import MaskedTask
from tutelage.types import Colour, Encoded, MaskedTarget, MetricInfo, MetricProtocol, Picture, Term

if TYPE_CHECKING:
    from torchmetrics import Metric

_SHORT = 1e-6  # a raw output shorter than this has no direction


class Normals(MaskedTask):
    """The direction that every pixel's surface faces, in the camera's axes: x right, y up, z toward the viewer.

    Label: float32 [B, 3, H, W], unit length; (0, 0, 0) or not finite where there is none. Head: three channels,
    scaled to unit length n = raw / |raw|.

    loss = sum_p 1 - n_p . label_p, over the valid pixels p

    A raw output shorter than 1e-6 becomes the zero vector: its loss is 1, its gradient 0 and its angle 90 degrees,
    where dividing by its length would give nan or a gradient of 10^6 and more.

    Differs from the authors' code: a label is valid where it is not the zero vector; there, where its components do not
    sum to 0, or where there is a depth.
    """

    width = 3
    dense = True
    contents = frozenset({"normals"})
    meaning = "unit vector: x right, y up, z towards the viewer"
    main = "mean"
    metric_info: Mapping[str, MetricInfo] = {
        "mean": MetricInfo("deg", False),
        "median": MetricInfo("deg", False),
        "within_11_25": MetricInfo("%", True),
        "within_22_5": MetricInfo("%", True),
        "within_30": MetricInfo("%", True),
    }
    regression = True

    def missing(self, image: Tensor) -> Tensor:
        """Zero vectors, [3, H, W]."""
        return image.new_zeros(3, *image.shape[1:], dtype=torch.float32)

    def valid(self, label: Tensor) -> Tensor:
        """Where labels [B, 3, H, W] are finite and not the zero vector, [B, H, W]."""
        x, y, z = label.abs().unbind(1)
        largest = x.maximum(y).maximum(z)  # nan if one is; a fifth of the time of `any` and `isfinite`
        return (largest > 0) & (largest < torch.inf)

    def activate(self, raw: Tensor) -> Tensor:
        """Unit vectors, [B, 3, H, W]."""
        with torch.autocast(raw.device.type, enabled=False):
            raw = raw.float()
            length = torch.linalg.vector_norm(raw, dim=1, keepdim=True)
            return torch.where(length > _SHORT, raw / length.clamp(min=_SHORT), 0)

    def loss(self, raw: Tensor, target: MaskedTarget) -> Term:
        """1 - cosine summed over the valid pixels, and their number."""
        with torch.autocast(raw.device.type, enabled=False):
            label = torch.where(target.valid.unsqueeze(1), target.value, 0)  # 0 * nan would be nan in the gradient
            cosine = (self.activate(raw) * label).sum(1)  # [B, H, W]
            total = torch.where(target.valid, 1 - cosine, 0).sum()
        return Term(total, target.count())

    def mirrored(self, raw: Tensor) -> Tensor:
        """Mirrored, with x negated."""
        mirrored = raw.flip(-1)
        return torch.cat((-mirrored[:, :1], mirrored[:, 1:]), dim=1)

    def metrics(self, protocol: MetricProtocol) -> "Metric":
        """Mean and median angle, and the shares within 11.25, 22.5 and 30 degrees."""
        return metrics.NormalsMetric(protocol)

    def draw(self, value: Tensor, valid: Tensor | None = None) -> Picture:
        """Normals [3, H, W] as red, green, blue = 255 (n + 1) / 2."""
        shown = value.isfinite().all(0) & (value != 0).any(0)
        if valid is not None:
            shown &= valid
        colours = ((value.float() + 1) * 127.5).round().clamp(0, 255)
        picture: Picture = torch.where(shown, colours, 0).byte().permute(1, 2, 0).cpu().numpy()
        return picture

    def encode(self, value: Tensor) -> Encoded:
        """Normals [3, H, W] as `draw` shows them: value = 127.5 (n + 1) in 8 bits, black where there is none."""
        return self.draw(value)

    def legend(self) -> list[tuple[str, Colour]]:
        """The colours of five directions; no visible surface faces away from the viewer."""
        axes = [("right", 0, 1), ("left", 0, -1), ("up", 1, 1), ("down", 1, -1), ("viewer", 2, 1)]
        entries = []
        for name, axis, sign in axes:
            normal = torch.zeros(3, 1, 1)
            normal[axis] = sign
            r, g, b = self.draw(normal)[0, 0].tolist()
            entries.append((name, (r, g, b)))
        return entries
