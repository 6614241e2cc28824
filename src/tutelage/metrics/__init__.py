"""What is measured: metrics that accumulate on the device, and Delta over single-task networks.

Every number names its protocol, since the two differ by several points:

- `dataset`, the default: counts over the whole set, then one value. Every pixel has the same weight.
- `image`: the value of each image, then their mean. Every image with a valid pixel has the same weight, and images
  without one are left out. (KD4MTL and early MTAN do so, except that they average depth and normals over batches.)

A metric of a set without valid pixels is nan.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tutelage.metrics.delta import deltas

if TYPE_CHECKING:
    from tutelage.metrics.classification import ClassificationMetric
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


def __getattr__(name: str) -> Any:
    if name in __all__:  # and not before: torchmetrics takes seconds to import, and only evaluation needs it
        return getattr(import_module(f"tutelage.metrics.{name.removesuffix('Metric').lower()}"), name)
    raise AttributeError(f"module 'tutelage.metrics' has no attribute '{name}'")
