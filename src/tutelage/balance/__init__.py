"""How several losses become one update."""

from tutelage.balance.aggregator import Aggregator
from tutelage.balance.bilevel import MOML, AutoLambda
from tutelage.balance.conflict import conflict
from tutelage.balance.db_mtl import DBMTL
from tutelage.balance.dto_kd import DTOKD
from tutelage.balance.graddrop import GradDrop
from tutelage.balance.gradnorm import GradNorm
from tutelage.balance.imtl import IMTLH
from tutelage.balance.independent_draws import IndependentDraws
from tutelage.balance.moco import MoCo
from tutelage.balance.on_gradients import GradientBalancer
from tutelage.balance.on_losses import LossBalancer
from tutelage.balance.relative import FeedbackWeighting, OnlineWeighting, RelativeLosses
from tutelage.balance.scalarizer import Scalarizer
from tutelage.balance.scale_invariant import ScaleInvariant
from tutelage.balance.task_gradients import Combined, TaskGradients
from tutelage.balance.uncertainty import Uncertainty
from tutelage.balance.uniform import Uniform

__all__ = [
    "DBMTL",
    "DTOKD",
    "IMTLH",
    "MOML",
    "Aggregator",
    "AutoLambda",
    "Combined",
    "FeedbackWeighting",
    "GradDrop",
    "GradNorm",
    "GradientBalancer",
    "IndependentDraws",
    "LossBalancer",
    "MoCo",
    "OnlineWeighting",
    "RelativeLosses",
    "Scalarizer",
    "ScaleInvariant",
    "TaskGradients",
    "Uncertainty",
    "Uniform",
    "conflict",
]
