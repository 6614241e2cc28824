"""YAML, flags, presets and overlays become one study: plain values, and the objects that are built of them."""

from tutelage.study.config.aliases import with_new_names
from tutelage.study.config.build import Builder, build_tasks
from tutelage.study.config.load import describe, load_study, normalise, resolve
from tutelage.study.config.presets import methods, overlays, presets, read_values
from tutelage.study.config.schema import (
    FEATURES,
    METHODS_ALONE,
    SINGLE,
    TEACHER,
    Method,
    Range,
    StudyConfig,
    TeacherConfig,
)
from tutelage.study.config.study import Study, folder_of

__all__ = [
    "FEATURES",
    "METHODS_ALONE",
    "SINGLE",
    "TEACHER",
    "Builder",
    "Method",
    "Range",
    "Study",
    "StudyConfig",
    "TeacherConfig",
    "build_tasks",
    "describe",
    "folder_of",
    "load_study",
    "methods",
    "normalise",
    "overlays",
    "presets",
    "read_values",
    "resolve",
    "with_new_names",
]
