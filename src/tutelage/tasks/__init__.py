"""What can be predicted: head width, activation, loss, valid positions, metrics and pictures of each task.

A task's raw output may come in bf16 or fp16: everything here is computed in fp32, outside the caller's autocast.
"""

from tutelage.tasks.classification import Classification
from tutelage.tasks.depth import Depth
from tutelage.tasks.edges import Edges
from tutelage.tasks.human_parts import HumanParts
from tutelage.tasks.inverse_depth import InverseDepth
from tutelage.tasks.masked import MaskedTask
from tutelage.tasks.multilabel import MultiLabel
from tutelage.tasks.normals import Normals
from tutelage.tasks.regression import Regression
from tutelage.tasks.saliency import Saliency
from tutelage.tasks.segmentation import Segmentation

__all__ = [
    "Classification",
    "Depth",
    "Edges",
    "HumanParts",
    "InverseDepth",
    "MaskedTask",
    "MultiLabel",
    "Normals",
    "Regression",
    "Saliency",
    "Segmentation",
]
