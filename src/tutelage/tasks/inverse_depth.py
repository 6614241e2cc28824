"""Inverse depth."""

from collections.abc import Mapping

from torch import Tensor

from tutelage.tasks.depth import Depth
from tutelage.types import MetricInfo


class InverseDepth(Depth):
    """One over the distance of every pixel's surface, up to a factor: the normalised disparity of Cityscapes.

    Label: float32 [B, 1, H, W]; 0 or not finite where there is none. Head: one channel, which is the inverse depth
    itself. It has no unit: the factor depends on the data.

    loss = sum_p |raw_p - label_p|, over the valid pixels p

    The metrics are those of MTAN (arXiv:1803.10704) and its successors: the absolute error, and the relative error
    |t_p - t*_p| / t*_p **of the inverse depth** t, which far pixels dominate, since their inverse depth is near 0.

    Args:
        range: The inverse depths that pictures show, farthest (blue) and nearest (yellow); values beyond either end
            take its colour. The colours follow the logarithm. The default suits the labels of MTAN's Cityscapes.

    Raises:
        UserError: `range` is not positive and increasing.
    """

    contents = frozenset({"inverse depth"})
    meaning = "inverse depth, up to a factor"
    metric_info: Mapping[str, MetricInfo] = {"abs_err": MetricInfo("", False), "rel_err": MetricInfo("", False)}
    ends = "farthest", "nearest"
    units = 65535.0  # as MTAN writes them
    colours = "plasma"

    def __init__(self, range: tuple[float, float] = (0.01, 0.5)) -> None:
        super().__init__(range)

    def validate_values(self, label: Tensor) -> str | None:
        """None: inverse depths have no unit that could be wrong."""
        return None
