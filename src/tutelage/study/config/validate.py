"""What a study must be beyond what its types say; no data are read."""

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from tutelage.errors import UserError, cut, did_you_mean
from tutelage.layout import FEATURES, SINGLE, TEACHER, TEACHERS
from tutelage.study.config.schema import Method, StudyConfig, TeacherConfig
from tutelage.study.config.study import Study
from tutelage.types import Task, is_reserved
from tutelage.values import DESCRIPTIVE, check_names, taught_by, teacher_specs

_LONGEST = 150  # bytes of a name: file systems have 255, and files add to it


def validate(study: Study) -> None:
    """Raise a UserError for the first mistake: one line with key, expectation and finding."""
    objects = study.objects
    _names(study)
    _seeds_and_methods(objects)
    check_names(study.values)
    for name in objects.teachers:
        _teacher(name, study)
    for name in objects.teacher_net:
        if name not in objects.tasks:
            raise UserError(
                f"teacher_net.{name}: expected one of the study's tasks, {', '.join(objects.tasks)}; or one network "
                "for all, with class_path and init_args"
            )
    _definitions(study)
    for name, task in objects.tasks.items():
        if not isinstance(task, Task):
            raise UserError(f"tasks.{name}: expected a tutelage.types.Task, found {type(task).__name__}")


def validate_objects(study: Study) -> None:
    """The same of a study of objects, whose values no file holds: names, seeds and rates."""
    _names(study)
    _seeds_and_methods(study.objects)
    for name, method in study.objects.method.items():
        _rate(name, method)


def check_out(folder: Path) -> None:
    """Raise a UserError where the folder for all results cannot be one."""
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise UserError(f"out: expected a folder, found the file {path}; give another (--out, or out= in Python)")


def _names(study: Study) -> None:
    objects = study.objects
    if not re.fullmatch(r"\w[\w.-]*", objects.study):
        raise UserError(
            f"study: expected a name of letters, digits, '.', '_' and '-' that begins with a letter, a digit or '_', "
            f"found `{cut(objects.study)}`; take another"
        )
    _check_length("study", objects.study)
    if study.values.get("out") == "":
        raise UserError("out: expected a folder, found an empty text; name one, or leave `out` out")
    check_out(study.folder)
    if not objects.tasks:
        raise UserError("tasks: expected at least one task, found none")
    for key, names in (("tasks", objects.tasks), ("methods", objects.methods), ("teachers", objects.teachers)):
        for name in names:
            if not re.fullmatch(r"\w[\w-]*", str(name)):
                raise UserError(f"{key}: expected names of letters, digits, '_' and '-', found `{cut(name)}`")
            _check_length(key, str(name))
    for key, names in (("tasks", objects.tasks), ("teachers", objects.teachers)):
        for name in names:
            if is_reserved(name):  # networks and distillers keep modules under these names
                raise UserError(
                    f"{key}: expected names that torch's modules have no other use for, found `{name}`; take another, "
                    f"such as `{name}_`{', in tasks and data' if key == 'tasks' else ''}"
                )


def _check_length(key: str, name: str) -> None:
    """Raise where a name is too long for that of a folder or file, with what is added to it."""
    if (length := len(os.fsencode(name))) > _LONGEST:
        raise UserError(f"{key}: expected a name of at most {_LONGEST} bytes, found {length} in `{cut(name)}`; cut it")


def _seeds_and_methods(objects: StudyConfig) -> None:
    for seed in objects.seeds:
        if not hasattr(seed, "__index__") or isinstance(seed, bool):
            raise UserError(f"seeds: expected whole numbers, found {seed!r}; correct it")
    if not objects.seeds or len(set(objects.seeds)) != len(objects.seeds):
        raise UserError(f"seeds: expected one or more different numbers, found {objects.seeds}")
    if not objects.methods or len(set(objects.methods)) != len(objects.methods):
        raise UserError(f"methods: expected one or more different names, found {objects.methods}")


def _teacher(name: str, study: Study) -> None:
    tasks, entry = ", ".join(study.objects.tasks), study.objects.teachers[name]
    teacher = teacher_specs(study.values)[name]
    for t in teacher.tasks:
        if t not in study.objects.tasks:
            raise UserError(f"teachers.{name}.tasks: expected some of the study's tasks, {tasks}; found `{t}`")
    if len(set(teacher.tasks)) != len(teacher.tasks):
        raise UserError(f"teachers.{name}.tasks: expected different tasks, found {', '.join(teacher.tasks)}")
    if name in study.objects.tasks and name not in teacher.tasks:
        raise UserError(
            f"teachers.{name}: expected a teacher of `{name}`, since it has the name of that task, found one of "
            f"{', '.join(teacher.tasks) or 'no task'}; give it another name"
        )
    if teacher.kind == FEATURES and teacher.net is None:
        raise UserError(
            f"teachers.{name}: expected a teacher_net for `{name}`, whose features are to teach, found none; give "
            f"teacher_net.{name}"
            if name in study.objects.tasks
            else f"teachers.{name}.net: expected a network, whose features are to teach, found none; give one"
        )
    if teacher.file is not None and not Path(teacher.file).is_file():
        key = f"teachers.{name}{'.file' if isinstance(entry, TeacherConfig) else ''}"
        raise UserError(f"{key}: expected the file of a trained network, or `features`, found no file {teacher.file}")
    if not 0 <= teacher.weight < float("inf"):
        raise UserError(f"teachers.{name}.weight: expected a number of at least 0, found {teacher.weight}")


def _definitions(study: Study) -> None:
    objects = study.objects
    for name in objects.methods:
        if name != SINGLE and name not in objects.method:
            raise UserError(
                f"method.{name}: expected a definition, found none; give single values as --method.{name}.KEY VALUE"
            )
    of_teachers = [TEACHER] if objects.teacher_net or objects.teachers else []
    for name, method in objects.method.items():
        if name not in (SINGLE, *objects.methods, *of_teachers):
            raise UserError(
                f"method.{name}: expected one of the study's methods, {', '.join(objects.methods)}, found `{name}`"
            )
        if name in (SINGLE, TEACHER):
            _only_training(name, study.values["method"][name])
        _taught_by(name, study)
        _rate(name, method)


def _rate(name: str, method: Method) -> None:
    if method.lr is not None and not 0 < method.lr < inf:
        raise UserError(f"method.{name}.lr: expected a positive number or null, found {method.lr}")


def _taught_by(name: str, study: Study) -> None:
    """Refuse a method that nothing, or that it itself, would teach."""
    method = study.objects.method[name]
    teaching = taught_by(method.taught_by)
    if not teaching:
        return
    key = f"method.{name}.taught_by"
    if method.distiller is None or method.teachers == "random":
        raise UserError(
            f"{key}: expected a method with a `distiller` and `teachers: trained`, found another; change it, or set "
            "`taught_by` to null"
        )
    if method.budget == "with_teachers":
        raise UserError(
            f"method.{name}.budget: expected a factor of the epochs beside `taught_by`, found `with_teachers`, which "
            "is the compute of a network per task; give a number"
        )
    _teaching(key, (name,), study.objects)
    named = {teacher.name for teacher in teacher_specs(study.values).values()}
    for before in teaching:
        if before in named and TEACHERS in teaching:
            raise UserError(
                f"{key}: expected methods with other names than those of the study's teachers, found `{before}`; "
                "rename the method"
            )


def _teaching(key: str, chain: Sequence[str], objects: StudyConfig) -> None:
    """Refuse what teaches the last method of a chain, of which each teaches the one before, where it cannot."""
    for before in taught_by(objects.method[chain[-1]].taught_by):
        if before == TEACHERS:
            continue
        others = [other for other in objects.methods if other not in (SINGLE, *chain)]
        if before not in others:
            advice = f"; add `{before}` to `methods`, or name another"
            if before in (SINGLE, TEACHER):
                advice = "; for the networks that teach in this study write `teachers`"
            raise UserError(
                f"{key}: expected another of the study's methods ({', '.join(others) or 'none'}) that it does not "
                f"teach itself, found `{before}`{did_you_mean(before, [*others, TEACHERS]) or advice}"
            )
        _teaching(key, (*chain, before), objects)


def _only_training(name: str, values: Mapping[str, Any]) -> None:
    """Refuse what networks that learn from labels alone have no use for."""
    for key, value in values.items():
        if key not in (*DESCRIPTIVE, "lr", "budget") and value != _default_method().get(key):
            raise UserError(f"method.{name}: expected no more than `lr` and `budget`, found `{key}`; remove it")
    if values.get("budget") == "with_teachers":
        raise UserError(
            f"method.{name}.budget: expected a factor of the epochs, since no teacher teaches these networks, found "
            "`with_teachers`; give a number"
        )


@cache
def _default_method() -> dict[str, Any]:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Method)
    values: dict[str, Any] = yaml.safe_load(parser.dump(parser.parse_object({}, defaults=True), skip_validation=True))
    return values
