"""tutelage from Python: studies, distillation from teachers that are there already, and their results."""

from tutelage.api.distillation import distill
from tutelage.api.results import Results
from tutelage.api.study import Study

__all__ = ["Results", "Study", "distill"]
