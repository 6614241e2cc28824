"""Where images and labels come from, and how they are augmented."""

from tutelage.data.augment import Augment
from tutelage.data.base import DataSource, WeightedSource
from tutelage.data.cityscapes import Cityscapes
from tutelage.data.class_folders import ClassFolders
from tutelage.data.coded_label import CodedLabel
from tutelage.data.digits import Mnist, MnistUsps, MultiMnist, Omniglot, OverlaidDigits, Svhn, SvhnOmniglot, Usps
from tutelage.data.folders import Folders, Label
from tutelage.data.from_dataset import FromDataset
from tutelage.data.hide_labels import HideLabels
from tutelage.data.holdout import HoldOut
from tutelage.data.hugging_face import Column, HuggingFace
from tutelage.data.labels import ClassesLabel, DepthLabel, InverseDepthLabel, MaskLabel
from tutelage.data.mix import Mix
from tutelage.data.modalities import Modality, Rgb, Window
from tutelage.data.normals_label import NormalsLabel
from tutelage.data.nyuv2 import NYUv2
from tutelage.data.rooms import Rooms
from tutelage.data.samples import Memory, Samples
from tutelage.data.whole_labels import ClassLabel, NumbersLabel

__all__ = [
    "Augment",
    "Cityscapes",
    "ClassFolders",
    "ClassLabel",
    "ClassesLabel",
    "CodedLabel",
    "Column",
    "DataSource",
    "DepthLabel",
    "Folders",
    "FromDataset",
    "HideLabels",
    "HoldOut",
    "HuggingFace",
    "InverseDepthLabel",
    "Label",
    "MaskLabel",
    "Memory",
    "Mix",
    "Mnist",
    "MnistUsps",
    "Modality",
    "MultiMnist",
    "NYUv2",
    "NormalsLabel",
    "NumbersLabel",
    "Omniglot",
    "OverlaidDigits",
    "Rgb",
    "Rooms",
    "Samples",
    "Svhn",
    "SvhnOmniglot",
    "Usps",
    "WeightedSource",
    "Window",
]
