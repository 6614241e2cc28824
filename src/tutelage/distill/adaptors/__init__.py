"""The adaptors A_t^k, one per file; `base` has what they share."""

from tutelage.distill.adaptors.base import Adaptor
from tutelage.distill.adaptors.conv1x1 import Conv1x1
from tutelage.distill.adaptors.identity import Identity
from tutelage.distill.adaptors.mlp import MLP
from tutelage.distill.adaptors.token_wise import TokenWise

__all__ = ["MLP", "Adaptor", "Conv1x1", "Identity", "TokenWise"]
