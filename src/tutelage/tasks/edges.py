"""Edges."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tutelage import metrics
from tutelage.errors import UserError
from tutelage.tasks.binary import Binary
from tutelage.types import MetricInfo, MetricProtocol

if TYPE_CHECKING:
    from torchmetrics import Metric


class Edges(Binary):
    """Whether a pixel is on an edge.

    Label: int64 [B, H, W], 1 edge, 0 none, -1 where unlabelled. Head: one logit. Activated: the probability
    q = sigmoid(logit), fp32 [B, H, W].

    loss = - sum_p a y_p log q_p + b (1 - y_p) log(1 - q_p), over the labelled pixels p

    The weights are those of the multi-task literature on PASCAL-Context and NYUD (MTI-Net, arXiv:2001.06902), since few
    pixels are on an edge. They are constants, there and here, and do not depend on the batch.

    Args:
        positive_weight: a.
        negative_weight: b.
        tolerance: How many pixels a predicted edge may be off in the metrics; see `EdgesMetric`.

    Raises:
        UserError: A weight is not positive or the tolerance is negative; in `collate`, a label in host memory is not 0,
            1 or -1. (On a GPU, where reading it would stall, such a pixel counts as unlabelled.)
    """

    main = "ods_f"
    metric_info: Mapping[str, MetricInfo] = {"ods_f": MetricInfo("%", True)}

    def __init__(self, positive_weight: float = 0.95, negative_weight: float = 0.05, tolerance: int = 3) -> None:
        super().__init__(positive_weight, negative_weight)
        if tolerance < 0:
            raise UserError(f"Edges: expected `tolerance` as a number of pixels, 0 or more. Found {tolerance}.")
        self.tolerance = tolerance

    def metrics(self, protocol: MetricProtocol) -> "Metric":
        """The best F over all thresholds."""
        return metrics.EdgesMetric(self.tolerance, protocol)
