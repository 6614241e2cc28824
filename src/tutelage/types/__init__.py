"""What the packages pass to each other, and the base class of what each of them builds.

A training step reads a `Batch`, the student turns its images into an `Output`, tasks and distiller turn both into
`Terms`, and the balancer turns those into gradients. Only `train` sees more than two of these steps.
"""

from tutelage.types.balancer import Balancer, Reduce
from tutelage.types.batch import Batch, MaskedTarget, Sample, StackedLabels, Target, ViewKey, transfer
from tutelage.types.distiller import Distiller, Teach
from tutelage.types.loss import task_loss
from tutelage.types.names import is_reserved
from tutelage.types.network import DeterministicWarning, MultiTaskNet, Output
from tutelage.types.task import Colour, Encoded, MetricInfo, MetricProtocol, Picture, Task
from tutelage.types.terms import Term, TermMap, Terms
from tutelage.types.world import World

__all__ = [
    "Balancer",
    "Batch",
    "Colour",
    "DeterministicWarning",
    "Distiller",
    "Encoded",
    "MaskedTarget",
    "MetricInfo",
    "MetricProtocol",
    "MultiTaskNet",
    "Output",
    "Picture",
    "Reduce",
    "Sample",
    "StackedLabels",
    "Target",
    "Task",
    "Teach",
    "Term",
    "TermMap",
    "Terms",
    "ViewKey",
    "World",
    "is_reserved",
    "task_loss",
    "transfer",
]
