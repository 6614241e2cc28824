"""What is compared with what: a study file becomes runs, and runs become results.json."""

from tutelage.study.check import check_data
from tutelage.study.config import (
    Method,
    Study,
    StudyConfig,
    TeacherConfig,
    complete,
    describe,
    load_study,
    methods,
    overlays,
    presets,
    read_values,
)
from tutelage.study.duration import duration
from tutelage.study.estimate import estimate, total_seconds
from tutelage.study.execute import execute, take_part
from tutelage.study.inspection import inspect_data
from tutelage.study.launch import (
    Display,
    InProcess,
    Launcher,
    Pool,
    Ready,
    Share,
    run_study,
    shares,
)
from tutelage.study.plan import RunSpec, plan
from tutelage.study.plan_table import cache_line, plan_lines
from tutelage.study.progress import ConsoleDisplay
from tutelage.study.showing import main_method, save_showing
from tutelage.study.tuning import Tuner

__all__ = [
    "ConsoleDisplay",
    "Display",
    "InProcess",
    "Launcher",
    "Method",
    "Pool",
    "Ready",
    "RunSpec",
    "Share",
    "Study",
    "StudyConfig",
    "TeacherConfig",
    "Tuner",
    "cache_line",
    "check_data",
    "complete",
    "describe",
    "duration",
    "estimate",
    "execute",
    "inspect_data",
    "load_study",
    "main_method",
    "methods",
    "overlays",
    "plan",
    "plan_lines",
    "presets",
    "read_values",
    "run_study",
    "save_showing",
    "shares",
    "take_part",
    "total_seconds",
]
