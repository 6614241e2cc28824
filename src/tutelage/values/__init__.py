"""A study as plain values: presets, YAML files, overlays and flags, before any class that they name is imported."""

from tutelage.values.aliases import with_new_names
from tutelage.values.draft import Draft, make_draft, read_draft, with_overlays
from tutelage.values.messages import rephrase
from tutelage.values.methods import DESCRIPTIVE, with_names, with_those_that_teach
from tutelage.values.plain import merge, parse
from tutelage.values.presets import methods, overlays, presets, read_values
from tutelage.values.schema import check_flags, flag_names, flags_of, lay_over
from tutelage.values.teachers import TeacherSpec, check_names, taught_by, teacher_specs
from tutelage.values.yaml_text import dump_line, dump_yaml, load_yaml

__all__ = [
    "DESCRIPTIVE",
    "Draft",
    "TeacherSpec",
    "check_flags",
    "check_names",
    "dump_line",
    "dump_yaml",
    "flag_names",
    "flags_of",
    "lay_over",
    "load_yaml",
    "make_draft",
    "merge",
    "methods",
    "overlays",
    "parse",
    "presets",
    "read_draft",
    "read_values",
    "rephrase",
    "taught_by",
    "teacher_specs",
    "with_names",
    "with_new_names",
    "with_overlays",
    "with_those_that_teach",
]
