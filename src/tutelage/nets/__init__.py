"""Networks: images become predictions, and the features that teachers and balancers look at."""

from tutelage.nets.authors import load_authors
from tutelage.nets.encoder_decoder import EncoderDecoder
from tutelage.nets.mtan import MTAN
from tutelage.nets.resnet import ResNet
from tutelage.nets.segnet import SegNet
from tutelage.nets.tapped import Tap, Tapped

__all__ = ["MTAN", "EncoderDecoder", "ResNet", "SegNet", "Tap", "Tapped", "load_authors"]
