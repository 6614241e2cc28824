"""Where images and labels come from, and how they are augmented."""

from tutelage.data.augment import Augment
from tutelage.data.base import DataSource, Memory, Samples
from tutelage.data.folders import Folders, Label
from tutelage.data.holdout import HoldOut
from tutelage.data.modalities import Class, Classes, Depth, Modality, Normals, Numbers, Rgb
from tutelage.data.nyuv2 import NYUv2
from tutelage.data.rooms import Rooms

__all__ = [
    "Augment",
    "Class",
    "Classes",
    "DataSource",
    "Depth",
    "Folders",
    "HoldOut",
    "Label",
    "Memory",
    "Modality",
    "NYUv2",
    "Normals",
    "Numbers",
    "Rgb",
    "Rooms",
    "Samples",
]
