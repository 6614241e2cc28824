"""What is compared with what: a study file becomes runs, and runs become results.json."""

from tutelage.study.check import check_data
from tutelage.study.config import SINGLE, Method, StudyConfig
from tutelage.study.display import ConsoleDisplay, duration, plan_table
from tutelage.study.estimate import Estimate, estimate
from tutelage.study.jobs import Job, plan
from tutelage.study.library import methods, overlays, presets, read_values
from tutelage.study.load import Study, describe, load_study, normalise
from tutelage.study.run import Display, Runner, run_study
from tutelage.study.tuning import Tuner

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
    "Tuner",
    "check_data",
    "describe",
    "duration",
    "estimate",
    "load_study",
    "methods",
    "normalise",
    "overlays",
    "plan",
    "plan_table",
    "presets",
    "read_values",
    "run_study",
]
