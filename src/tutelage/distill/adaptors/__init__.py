"""A_t^k: one file an adaptor, on what they share in `base`."""

from tutelage.distill.adaptors.base import Adaptor
from tutelage.distill.adaptors.conv1x1 import Conv1x1
from tutelage.distill.adaptors.identity import Identity
from tutelage.distill.adaptors.mlp import MLP
from tutelage.distill.adaptors.token_wise import TokenWise

__all__ = ["MLP", "Adaptor", "Conv1x1", "Identity", "TokenWise"]
