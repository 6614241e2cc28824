"""YAML, flags, presets and overlays become one study: plain values, and the objects that are built of them."""

from tutelage.study.config.aliases import with_new_names
from tutelage.study.config.build import Builder, build_tasks
from tutelage.study.config.load import describe, load_study, normalise, resolve
from tutelage.study.config.presets import methods, overlays, presets, read_values
from tutelage.study.config.schema import (
    DESCRIPTIVE,
    Method,
    Range,
    StudyConfig,
    TeacherConfig,
)
from tutelage.study.config.study import Study
from tutelage.study.config.teachers import TeacherSpec, teacher_specs

__all__ = [
    "DESCRIPTIVE",
    "Builder",
    "Method",
    "Range",
    "Study",
    "StudyConfig",
    "TeacherConfig",
    "TeacherSpec",
    "build_tasks",
    "describe",
    "load_study",
    "methods",
    "normalise",
    "overlays",
    "presets",
    "read_values",
    "resolve",
    "teacher_specs",
    "with_new_names",
]
