"""The paper: frozen single-task teachers pull on a multi-task student's features through small adaptors."""

from tutelage.distill.adaptors import Adaptor, Conv1x1, Identity
from tutelage.distill.distances import Distance, NormalisedL2
from tutelage.distill.distiller import FeatureDistiller
from tutelage.distill.logits import LogitDistiller
from tutelage.distill.teachers import Teachers
from tutelage.distill.together import Together

__all__ = [
    "Adaptor",
    "Conv1x1",
    "Distance",
    "FeatureDistiller",
    "Identity",
    "LogitDistiller",
    "NormalisedL2",
    "Teachers",
    "Together",
]
