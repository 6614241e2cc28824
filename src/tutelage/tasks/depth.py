"""Depth."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tutelage import metrics
from tutelage.errors import UserError
from tutelage.tasks.masked import MaskedTask
from tutelage.types import Colour, Encoded, MaskedTarget, MetricInfo, MetricProtocol, Picture, Term

if TYPE_CHECKING:
    from torchmetrics import Metric

_NEAR, _FAR = 0.01, 100.0  # a median beyond one of them is taken for a label in another unit than metres

_LARGEST = 65534  # of 16 bits; 65535 means "no depth"


class Depth(MaskedTask):
    """The distance of every pixel's surface along the camera's axis, in metres.

    Label: float32 [B, 1, H, W]; 0, negative or not finite where there is none. Head: one channel, which is the depth
    itself and may be negative.

    loss = sum_p |raw_p - label_p|, over the valid pixels p

    Args:
        range: The depths in metres that pictures show, nearest (yellow) and farthest (blue); depths beyond either end
            take its colour. The colours follow the logarithm of the depth, so that near depths differ as far ones do.
            A label is taken to be in another unit where its median is beyond both 100 m and ten times the farthest, or
            below both 1 cm and a tenth of the nearest.

    Raises:
        UserError: `range` is not positive and increasing.
    """

    dense = True
    width = 1
    contents = frozenset({"depth"})
    meaning = "metres"
    main = "abs_err"
    metric_info: Mapping[str, MetricInfo] = {"abs_err": MetricInfo("m", False), "rel_err": MetricInfo("", False)}
    regression = True
    ends = "nearest", "farthest"  # of `range`
    units = 1000.0  # of a picture of 16 bits, as labels are read by default: millimetres
    colours = "plasma_r"  # matplotlib's, from one end of `range` to the other

    def __init__(self, range: tuple[float, float] = (0.5, 10.0)) -> None:
        if not 0 < range[0] < range[1]:
            a, b = self.ends
            raise UserError(f"{type(self).__name__}: expected `range` as ({a}, {b}) with 0 < {a} < {b}. Found {range}.")
        self.range = range

    def missing(self, image: Tensor) -> Tensor:
        """0 everywhere, [1, H, W]."""
        return image.new_zeros(1, *image.shape[1:], dtype=torch.float32)

    def valid(self, label: Tensor) -> Tensor:
        """Where labels [B, 1, H, W] are positive and finite, [B, H, W]."""
        return ((label > 0) & (label < torch.inf)).squeeze(1)  # nan is neither

    def validate_values(self, label: Tensor) -> str | None:
        """A median in another unit: beyond 100 and ten times the farthest depth of `range`, or the inverse of both."""
        depths = label[(label > 0) & label.isfinite()]
        if not len(depths):
            return None
        limit, least = max(_FAR, 10 * self.range[1]), min(_NEAR, self.range[0] / 10)
        median = float(depths.median())
        if median < least:
            return (
                f"expected depths in metres, at least {least:g} in the median, found a median of {median:.3g}; set the "
                "label's `scale` to metres per unit, 1 where pictures hold metres, or set the task's `range` where "
                "depths are that small"
            )
        if median <= limit:
            return None
        return (
            f"expected depths in metres, at most {limit:g} in the median, found a median of {median:g}; "
            "set the label's `scale`, for example 0.001 for pictures in millimetres, "
            "write metres into .npy files, or set the task's `range` where depths are that large"
        )

    def activate(self, raw: Tensor) -> Tensor:
        """`raw` in fp32, [B, 1, H, W]."""
        return raw.float()

    def loss(self, raw: Tensor, target: MaskedTarget) -> Term:
        """The absolute error summed over the valid pixels, in metres, and their number."""
        with torch.autocast(raw.device.type, enabled=False):
            valid = target.valid.unsqueeze(1)  # [B, 1, H, W]
            error = torch.where(valid, raw.float() - target.value, 0).abs()
        return Term(error.sum(), target.count())

    def metrics(self, protocol: MetricProtocol) -> "Metric":
        """Absolute and relative error."""
        return metrics.DepthMetric(protocol)

    def draw(self, value: Tensor, valid: Tensor | None = None) -> Picture:
        """Depth [1, H, W] from yellow (near) through red to blue (far)."""
        depth = value[0].float().cpu().numpy()
        shown = np.isfinite(depth)
        if valid is not None:
            shown &= valid.cpu().numpy()
        picture: Picture = self._colours(np.where(shown, depth, self.range[1])) * shown[..., None]
        return picture

    def encode(self, value: Tensor) -> Encoded:
        """Depth [1, H, W] in 16 bits as whole millimetres; 0 where there is none, or above 65.534 m."""
        units = np.rint(value[0].double().cpu().numpy() * self.units)
        return np.where((units > 0) & (units <= _LARGEST), units, 0).astype(np.uint16)  # nan is neither

    def legend(self) -> list[tuple[str, Colour]]:
        """The ends of `range` and the round depths between them: 0.5 m, 1 m, 2 m, 5 m, 10 m."""
        first, last = self.range
        round_depths = (digit * 10.0**power for power in range(-3, 5) for digit in (1, 2, 5))
        depths = np.array([first, *(z for z in round_depths if first < z < last), last])
        unit = self.metric_info["abs_err"].unit
        return [
            (f"{z:g} {unit}".strip(), (int(r), int(g), int(b)))
            for z, (r, g, b) in zip(depths, self._colours(depths), strict=True)
        ]

    def _colours(self, depth: npt.NDArray[np.floating]) -> Picture:
        from matplotlib import colormaps  # slow to import, and only pictures need it

        first, last = np.log(self.range)
        share = (np.log(depth.clip(*self.range)) - first) / (last - first)
        picture: Picture = colormaps[self.colours](share, bytes=True)[..., :3]
        return picture
