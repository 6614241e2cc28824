"""d(a, b): one file a distance, on what they share in `base`."""

from tutelage.distill.distances.attention import AttentionTransfer
from tutelage.distill.distances.base import Distance
from tutelage.distill.distances.cauchy_schwarz import CauchySchwarz
from tutelage.distill.distances.cka import CKA, RBFCKA, LinearCKA
from tutelage.distill.distances.cosine import Cosine
from tutelage.distill.distances.kl import KL
from tutelage.distill.distances.l2 import L2
from tutelage.distill.distances.normalised_l2 import NormalisedL2
from tutelage.distill.distances.smooth_l1 import SmoothL1
from tutelage.distill.distances.weighted_sum import WeightedSum

__all__ = [
    "CKA",
    "KL",
    "L2",
    "RBFCKA",
    "AttentionTransfer",
    "CauchySchwarz",
    "Cosine",
    "Distance",
    "LinearCKA",
    "NormalisedL2",
    "SmoothL1",
    "WeightedSum",
]
