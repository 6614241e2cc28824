"""What can be predicted: each task's head width, activation, loss, valid pixels, metrics and pictures.

A task's raw output may come in bf16 or fp16: everything here is computed in fp32, outside the caller's autocast.
"""

from tutelage.tasks.depth import Depth
from tutelage.tasks.normals import Normals
from tutelage.tasks.segmentation import Segmentation

__all__ = ["Depth", "Normals", "Segmentation"]
