"""Distillation: frozen teachers pull on a multi-task student's features and predictions (the paper's method).

`tutelage.distill(teachers, student, data, tasks)` trains a student from teachers that are there already.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from tutelage.distill.adaptors import MLP, Adaptor, Conv1x1, Identity, TokenWise
from tutelage.distill.average import AverageDistiller
from tutelage.distill.distances import (
    CKA,
    KL,
    L2,
    RBFCKA,
    AttentionTransfer,
    CauchySchwarz,
    Cosine,
    Distance,
    LinearCKA,
    NormalisedL2,
    SmoothL1,
    WeightedSum,
)
from tutelage.distill.distiller import FeatureDistiller
from tutelage.distill.logits import LogitDistiller
from tutelage.distill.match import TapMatch
from tutelage.distill.online import OnlineDistiller
from tutelage.distill.sum_distiller import SumDistiller
from tutelage.distill.teacher_losses import TeacherLosses
from tutelage.distill.teachers import PhiS, Standardise, Teacher, Teachers, labels_by_teacher

__all__ = [
    "CKA",
    "KL",
    "L2",
    "MLP",
    "RBFCKA",
    "Adaptor",
    "AttentionTransfer",
    "AverageDistiller",
    "CauchySchwarz",
    "Conv1x1",
    "Cosine",
    "Distance",
    "FeatureDistiller",
    "Identity",
    "LinearCKA",
    "LogitDistiller",
    "NormalisedL2",
    "OnlineDistiller",
    "PhiS",
    "SmoothL1",
    "Standardise",
    "SumDistiller",
    "TapMatch",
    "Teacher",
    "TeacherLosses",
    "Teachers",
    "TokenWise",
    "WeightedSum",
    "labels_by_teacher",
]


class _Package(ModuleType):
    """`tutelage.distill`, which can be called as well: see `tutelage.api.distill`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Train a student from teachers that are there already."""
        return import_module("tutelage.api").distill(*args, **kwargs)  # above this package: it has the name alone


sys.modules[__name__].__class__ = _Package
