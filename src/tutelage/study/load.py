"""From a preset or a YAML file, with overrides, to a study: every mistake in it is one line."""

import copy
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace
from torch import nn

from tutelage.errors import UserError, user_code
from tutelage.study.config import DEFAULT_METHODS, FEATURES, METHODS_ALONE, SINGLE, TEACHER, Method, StudyConfig
from tutelage.study.library import definitions, merge, read_overlay, read_values
from tutelage.study.messages import rephrase
from tutelage.train import TrainConfig
from tutelage.types import Task

_LISTS = ("seeds", "methods")  # `--seeds 0,1,2`


@dataclass
class Study:
    """A validated study.

    Attributes:
        config: what to build, as objects and factories.
        values: the same as plain values: every default filled in, as YAML holds it.
    """

    config: StudyConfig
    values: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where its runs and results are."""
        return Path(self.config.out or f"runs/{self.config.study}")


def study_parser(values: dict[str, Any] | None = None, prog: str | None = None) -> ArgumentParser:
    """The parser of a study's keys, with `values` as its defaults."""
    about = (
        "Keys of the study, with its values as defaults; keys of `train` need no prefix: --epochs 2, --max-steps 100. "
        "Besides: --with FILE lays an overlay over the study, --with ablation adds the controls."
    )
    parser = ArgumentParser(prog=prog, exit_on_error=False, description=about)
    parser.add_class_arguments(StudyConfig)
    if values:
        parser.set_defaults(copy.deepcopy(values))
    return parser


def load_study(source: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Read and validate a study.

    Args:
        source: the name of a preset, or a YAML file.
        overrides: flags as on the command line, for example `["--epochs", "2", "--net.width", "0.5"]`; keys of `train`
            need no prefix; `--with FILE` lays an overlay over the study.

    Raises:
        ValueError: the study is wrong; one line names key, expectation and finding.
    """
    values = read_values(source)
    flags, overlays = _overlays(overrides)
    flags = normalise(flags)
    try:
        values = _by_task(values, values)
        for overlay in overlays:
            change = read_overlay(overlay, values.get("tasks"))
            values = merge(values, _by_task(change, merge(values, change)))
        values["method"] = definitions(values, _selected(values, flags))
        flags = _flags_by_task(flags, values)
        _check_file(values, flags)
    except Exception as error:  # jsonargparse raises many kinds; its message is what matters
        raise UserError(f"{source}: {rephrase(error)}") from error
    study = resolve(values, flags)
    _mark_changes(study, values, flags)
    return study


def _by_task(change: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Keys of a study with one network for each task, where `teacher_net` is one for all."""
    nets = change.get("teacher_net")
    if isinstance(nets, str) or (isinstance(nets, dict) and "class_path" in nets):
        return {**change, "teacher_net": {t: copy.deepcopy(nets) for t in values.get("tasks") or {}}}
    return change


def _flags_by_task(flags: list[str], values: dict[str, Any]) -> list[str]:
    """The same of flags; one for a key of all teachers is refused."""
    flags, tasks = list(flags), values.get("tasks") or {}
    for i, flag in enumerate(flags):
        if flag == "--teacher_net" and flags[i + 1 :]:
            given = {"teacher_net": yaml.safe_load(flags[i + 1])}
            flags[i + 1] = json.dumps(_by_task(given, values)["teacher_net"])
        elif flag.startswith("--teacher_net.") and (key := flag.split(".")[1]) not in tasks:
            raise UserError(f"--teacher_net.{key}: expected --teacher_net.TASK.KEY with one of {', '.join(tasks)}")
    return flags


def _mark_changes(study: Study, values: dict[str, Any], flags: list[str]) -> None:
    """Call the values of a method `changed` where flags make them other than they are in the file."""
    rest: list[str] = []
    skipped = False
    for word in flags:
        if word.startswith("--"):
            skipped = word == "--method" or word.startswith("--method.")
        if not skipped:
            rest.append(word)
    if rest == flags:
        return
    before = resolve(values, rest).values["method"]
    for name, method in study.values["method"].items():
        one, other = ({k: v for k, v in m.items() if k not in METHODS_ALONE} for m in (method, before.get(name, {})))
        if one != other:
            method["values"] = study.config.method[name].values = "changed"


def resolve(values: dict[str, Any], flags: Sequence[str] = ()) -> Study:
    """The study of plain values whose methods are complete, as those of `Study.values` are.

    Raises:
        ValueError: the study is wrong; one line names key, expectation and finding.
    """
    try:
        parsed = study_parser(values).parse_args(flags)
    except Exception as error:  # jsonargparse raises many kinds; its message is what matters
        raise UserError(rephrase(error)) from error
    return _build(parsed)


def describe(source: str | Path) -> str:
    """Every key of a study with its value, for `--help`.

    Raises:
        ValueError: the study is wrong.
    """
    try:
        return str(study_parser(read_values(source), prog=f"tutelage run {source}").format_help())
    except Exception as error:  # as above
        raise UserError(f"{source}: {rephrase(error)}") from error


def _build(parsed: Namespace) -> Study:
    parser = study_parser()
    plain = yaml.safe_load(parser.dump(parsed, skip_validation=True))
    try:
        config = StudyConfig(**vars(parser.instantiate(parsed)))
    except Exception as error:  # whatever a class of the user raises when it is built
        place, line = user_code(error), rephrase(error)
        if place is not None and not isinstance(error, ValueError):
            line = f"{place}: expected a class that can be built, found {type(error).__name__}: {line}"
        raise UserError(line) from error
    study = Study(config, plain)
    _check(study)
    study.values["train"]["precision"] = config.train.precision = config.train.resolved_precision()
    return study


def normalise(flags: Sequence[str]) -> list[str]:
    """`--max-steps` and `--epochs` as keys of `train`, `--seeds 0,1,2` as a list."""
    result: list[str] = []
    train = {field.name for field in fields(TrainConfig)}
    words = [word for flag in flags for word in (flag.split("=", 1) if flag.startswith("--") else [flag])]
    for word in words:
        if word.startswith("--"):
            key = word[2:].replace("-", "_")
            if key.split(".")[0] in train:
                word = f"--train.{key}"
            elif key.startswith("train."):
                word = f"--{key}"
        elif result and result[-1].removeprefix("--") in _LISTS and not word.startswith("["):
            word = f"[{word}]"
        result.append(word)
    return result


def _overlays(flags: Sequence[str]) -> tuple[list[str], list[str]]:
    """The flags without `--with X`, and every X."""
    rest: list[str] = []
    overlays: list[str] = []
    words = iter(flags)
    for word in words:
        if word == "--with":
            overlays.append(next(words, ""))
        elif word.startswith("--with="):
            overlays.append(word.removeprefix("--with="))
        else:
            rest.append(word)
    return rest, overlays


def _selected(values: dict[str, Any], flags: list[str]) -> list[str]:
    for flag, value in zip(reversed(flags[:-1]), reversed(flags[1:]), strict=True):
        if flag == "--methods":
            found = yaml.safe_load(value)
            break
    else:
        found = values.get("methods", list(DEFAULT_METHODS))
    return [str(name) for name in found] if isinstance(found, list) else []  # anything else is refused later


def _check_file(values: dict[str, Any], flags: list[str]) -> None:
    """Validate the file's keys, but for those that flags complete: their values are checked with the flags."""
    if not isinstance(values.get("train", {}), dict):
        raise UserError(f"train: expected keys and values, found {values['train']!r}")
    flagged = {flag[2:].split(".")[0] for flag in flags if flag.startswith("--")}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(StudyConfig, skip=flagged & {field.name for field in fields(StudyConfig)})
    parser.parse_object(copy.deepcopy({k: v for k, v in values.items() if k not in flagged}), defaults=True)


def _check_alone(name: str, values: dict[str, Any]) -> None:
    """Refuse what a network of one task has no use for."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Method)
    plain = yaml.safe_load(parser.dump(parser.parse_object({}, defaults=True), skip_validation=True))
    for key, value in values.items():
        if key not in (*METHODS_ALONE, "lr") and value != plain.get(key):
            raise UserError(f"method.{name}: expected no more than an `lr`, found `{key}`; remove it")


def _check(study: Study) -> None:
    config = study.config
    if not re.fullmatch(r"[\w.-]+", config.study):
        raise UserError(f"study: expected a name of letters, digits, '.', '_' and '-', found `{config.study}`")
    for path in (study.folder, *study.folder.parents):
        if path.exists() and not path.is_dir():
            raise UserError(f"out: expected a folder, found the file {path}; give another with --out")
    if not config.tasks:
        raise UserError("tasks: expected at least one task, found none")
    if not config.seeds or len(set(config.seeds)) != len(config.seeds):
        raise UserError(f"seeds: expected one or more different numbers, found {config.seeds}")
    if not config.methods or len(set(config.methods)) != len(config.methods):
        raise UserError(f"methods: expected one or more different names, found {config.methods}")
    for key, names in (("tasks", config.tasks), ("methods", config.methods)):
        for name in names:
            if not re.fullmatch(r"\w[\w-]*", str(name)):
                raise UserError(f"{key}: expected names of letters, digits, '_' and '-', found `{name}`")
    for name in config.tasks:
        # Networks keep what is a task's own under its name.
        if any(hasattr(kept(), name) for kept in (nn.ModuleDict, nn.ParameterDict)):
            raise UserError(
                f"tasks: expected names that torch's modules have no other use for, found `{name}`; take another, such "
                f"as `{name}_`, in tasks and data"
            )
    for name, file in config.teachers.items():
        if name not in config.tasks:
            raise UserError(f"teachers.{name}: expected one of the study's tasks, {', '.join(config.tasks)}")
        if file == FEATURES and name not in config.teacher_net:
            raise UserError(
                f"teachers.{name}: expected a teacher_net for `{name}`, whose features are to teach, found none; give "
                f"teacher_net.{name}"
            )
        if isinstance(file, Path) and not file.is_file():
            raise UserError(
                f"teachers.{name}: expected the file of a trained network, or `features`, found no file {file}"
            )
    for name in config.teacher_net:
        if name not in config.tasks:
            raise UserError(
                f"teacher_net.{name}: expected one of the study's tasks, {', '.join(config.tasks)}; or one network "
                "for all, with class_path and init_args"
            )
    for name in config.methods:
        if name != SINGLE and name not in config.method:
            raise UserError(
                f"method.{name}: expected a definition, found none; give single values as --method.{name}.KEY VALUE"
            )
    for name, method in config.method.items():
        if name not in (SINGLE, *config.methods, *([TEACHER] if config.teacher_net else [])):
            raise UserError(
                f"method.{name}: expected one of the study's methods, {', '.join(config.methods)}, found `{name}`"
            )
        if name in (SINGLE, TEACHER):
            _check_alone(name, study.values["method"][name])
        if method.lr is not None and method.lr <= 0:
            raise UserError(f"method.{name}.lr: expected a positive number or null, found {method.lr}")
    for name, task in config.tasks.items():
        if not isinstance(task, Task):
            raise UserError(f"tasks.{name}: expected a tutelage.types.Task, found {type(task).__name__}")
