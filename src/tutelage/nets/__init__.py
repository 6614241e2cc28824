"""Networks: from images to the predictions of tasks, and to the features that distillers and balancers read."""

from tutelage.nets.authors import load_authors
from tutelage.nets.cross_stitch import CrossStitch
from tutelage.nets.dselect_k import DSelectK
from tutelage.nets.encoder_decoder import EncoderDecoder
from tutelage.nets.mmoe import MMoE
from tutelage.nets.mtan import MTAN
from tutelage.nets.mti_net import MTINet
from tutelage.nets.pad_net import PADNet
from tutelage.nets.ple import PLE
from tutelage.nets.resnet import ResNet
from tutelage.nets.sak import SAK
from tutelage.nets.segnet import SegNet
from tutelage.nets.tap import Tap
from tutelage.nets.tapped_module import TappedModule

__all__ = [
    "MTAN",
    "PLE",
    "SAK",
    "CrossStitch",
    "DSelectK",
    "EncoderDecoder",
    "MMoE",
    "MTINet",
    "PADNet",
    "ResNet",
    "SegNet",
    "Tap",
    "TappedModule",
    "load_authors",
]
