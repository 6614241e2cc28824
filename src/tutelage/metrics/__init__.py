"""What is measured: metrics that count on the device, and Delta over single-task networks.

Every number names its protocol, since the two differ by several points:

- `dataset`: counts over the whole set, then one value. A pixel weighs the same in every image. The default.
- `image`: the value of each image, then their mean. An image weighs the same however many valid pixels it has, and one
  without any is left out (KD4MTL, early MTAN; they average the values of batches for depth and normals).

A metric of a set without valid pixels is nan.
"""

from tutelage.metrics.classification import ClassificationMetric
from tutelage.metrics.delta import deltas
from tutelage.metrics.depth import DepthMetric
from tutelage.metrics.edges import EdgesMetric
from tutelage.metrics.means import Means
from tutelage.metrics.multilabel import MultiLabelMetric
from tutelage.metrics.normals import NormalsMetric
from tutelage.metrics.regression import RegressionMetric
from tutelage.metrics.saliency import SaliencyMetric
from tutelage.metrics.segmentation import SegmentationMetric

__all__ = [
    "ClassificationMetric",
    "DepthMetric",
    "EdgesMetric",
    "Means",
    "MultiLabelMetric",
    "NormalsMetric",
    "RegressionMetric",
    "SaliencyMetric",
    "SegmentationMetric",
    "deltas",
]
