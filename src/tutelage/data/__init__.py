"""Where images and labels come from, and how they are augmented."""

from tutelage.data.augment import Augment
from tutelage.data.base import DataSource, Memory, Part, Samples
from tutelage.data.cityscapes import Cityscapes, InverseDepth
from tutelage.data.class_folders import ClassFolders
from tutelage.data.digits import Mnist, MnistUsps, MultiMnist, Omniglot, OverlaidDigits, Svhn, SvhnOmniglot, Usps
from tutelage.data.folders import Folders, Label
from tutelage.data.from_dataset import FromDataset
from tutelage.data.hide_labels import HideLabels
from tutelage.data.holdout import HoldOut
from tutelage.data.hugging_face import Column, HuggingFace
from tutelage.data.mix import Mix
from tutelage.data.modalities import Class, Classes, Depth, Mask, Modality, Normals, Numbers, Rgb
from tutelage.data.nyuv2 import NYUv2
from tutelage.data.rooms import Rooms

__all__ = [
    "Augment",
    "Cityscapes",
    "Class",
    "ClassFolders",
    "Classes",
    "Column",
    "DataSource",
    "Depth",
    "Folders",
    "FromDataset",
    "HideLabels",
    "HoldOut",
    "HuggingFace",
    "InverseDepth",
    "Label",
    "Mask",
    "Memory",
    "Mix",
    "Mnist",
    "MnistUsps",
    "Modality",
    "MultiMnist",
    "NYUv2",
    "Normals",
    "Numbers",
    "Omniglot",
    "OverlaidDigits",
    "Part",
    "Rgb",
    "Rooms",
    "Samples",
    "Svhn",
    "SvhnOmniglot",
    "Usps",
]
