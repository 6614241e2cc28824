"""What is compared with what: a study file becomes runs, and runs become results.json."""

from tutelage.study.config import SINGLE, Method, StudyConfig
from tutelage.study.display import ConsoleDisplay, duration
from tutelage.study.estimate import Estimate, estimate
from tutelage.study.load import Study, describe, load_study, methods, normalise, presets, read_values
from tutelage.study.run import Display, Job, Runner, plan, run_study

__all__ = [
    "SINGLE",
    "ConsoleDisplay",
    "Display",
    "Estimate",
    "Job",
    "Method",
    "Runner",
    "Study",
    "StudyConfig",
    "describe",
    "duration",
    "estimate",
    "load_study",
    "methods",
    "normalise",
    "plan",
    "presets",
    "read_values",
    "run_study",
]
