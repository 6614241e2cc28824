"""Networks: images become predictions, and the features that teachers and balancers look at."""

from tutelage.nets.segnet import SegNet

__all__ = ["SegNet"]
