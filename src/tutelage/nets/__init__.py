"""Networks: images become predictions, and the features that teachers and balancers look at."""

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
from tutelage.nets.segnet import SegNet
from tutelage.nets.tapped_module import Tap, TappedModule

__all__ = [
    "MTAN",
    "PLE",
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
