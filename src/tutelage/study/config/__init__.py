"""The plain values of a study become objects: every default is filled in, and the whole is validated."""

from tutelage.study.config.build import Builder, build_some
from tutelage.study.config.load import complete, describe, filled, load_study, resolve
from tutelage.study.config.precision import is_slow_in_bf16, resolve_precision
from tutelage.study.config.schema import Method, Range, StudyConfig, TeacherConfig
from tutelage.study.config.study import Study
from tutelage.values import (
    DESCRIPTIVE,
    TeacherSpec,
    methods,
    overlays,
    presets,
    read_values,
    taught_by,
    teacher_specs,
    with_new_names,
    with_those_that_teach,
)

__all__ = [
    "DESCRIPTIVE",
    "Builder",
    "Method",
    "Range",
    "Study",
    "StudyConfig",
    "TeacherConfig",
    "TeacherSpec",
    "build_some",
    "complete",
    "describe",
    "filled",
    "is_slow_in_bf16",
    "load_study",
    "methods",
    "overlays",
    "presets",
    "read_values",
    "resolve",
    "resolve_precision",
    "taught_by",
    "teacher_specs",
    "with_new_names",
    "with_those_that_teach",
]
