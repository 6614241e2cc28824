"""Saliency."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tutelage import metrics
from tutelage.tasks.binary import Binary
from tutelage.types import MetricInfo, MetricProtocol

if TYPE_CHECKING:
    from torchmetrics import Metric


class Saliency(Binary):
    """Whether a pixel belongs to the salient object of the image.

    Label: int64 [B, H, W], 1 salient, 0 not, -1 where unlabelled. Head: one logit. Activated: the probability
    q = sigmoid(logit), fp32 [B, H, W].

    loss = - sum_p a y_p log q_p + (1 - y_p) log(1 - q_p), over the labelled pixels p

    Differs from the multi-task literature on PASCAL-Context (ASTMT, arXiv:1904.08918; MTI-Net, arXiv:2001.06902): there
    a follows the shares of positive and negative pixels in each batch; here it is fixed, so that the loss of a batch is
    the sum over its images.

    Args:
        positive_weight: a.

    Raises:
        UserError: The weight is not positive; in `collate`, a label in host memory is not 0, 1 or -1. (On a GPU, where
            reading it would stall, such a pixel counts as unlabelled.)
    """

    main = "max_f"
    metric_info: Mapping[str, MetricInfo] = {
        "max_f": MetricInfo("%", True),
        "miou": MetricInfo("%", True),
        "mae": MetricInfo("", False),
    }

    def __init__(self, positive_weight: float = 1.0) -> None:
        super().__init__(positive_weight, negative_weight=1.0)

    def metrics(self, protocol: MetricProtocol) -> "Metric":
        """Maximal F, intersection over union and mean absolute error."""
        return metrics.SaliencyMetric(protocol)
