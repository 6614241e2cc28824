"""From a preset or a YAML file, with overlays and flags, to a study: every mistake in it is one line."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from tutelage.errors import UserError, one_line
from tutelage.study.config.aliases import flags_with_new_names, notes, with_new_names
from tutelage.study.config.build import Builder, study_parser
from tutelage.study.config.messages import rephrase
from tutelage.study.config.methods import definitions, for_study, merge
from tutelage.study.config.presets import is_preset_overlay, read_overlay, read_values
from tutelage.study.config.schema import DEFAULT_METHODS, DESCRIPTIVE, StudyConfig
from tutelage.study.config.study import Study
from tutelage.study.config.validate import validate
from tutelage.train import TrainConfig

_LISTS = ("seeds", "methods")  # `--seeds 0,1,2`


def load_study(source: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Read and validate a study.

    Args:
        source: the name of a preset, or a YAML file.
        overrides: flags as on the command line, for example `["--epochs", "2", "--net.width", "0.5"]`; keys of `train`
            need no prefix; `--with FILE` lays an overlay over the study.

    Raises:
        UserError: the study is wrong; one line names key, expectation and finding.
    """
    replaced: dict[str, str] = {}
    values = with_new_names(read_values(source), replaced)
    flags, overlays = _split_overlays(overrides)
    flags = normalise(flags)
    try:
        values = _one_net_per_task(values, values)
        for overlay in overlays:
            change = with_new_names(read_overlay(overlay), replaced)
            if is_preset_overlay(overlay):
                change = for_study(change, values)
            values = merge(values, _one_net_per_task(change, merge(values, change)))
        flags = flags_with_new_names(flags, values, replaced)
        values["method"] = definitions(values, _selected_methods(values, flags))
        flags = _teacher_flags_per_task(flags, values)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    try:
        _check_file(values, flags)
    except Exception as error:  # jsonargparse raises many kinds; the message says what is wrong
        raise UserError(f"{source}: {rephrase(error)}") from error
    plain, parsed = _parse(values, flags)
    for name in _changed_methods(plain, values, flags):
        plain["method"][name]["values"] = parsed.method[name]["values"] = "changed"
    return _study(plain, parsed, notes=notes(replaced))


def resolve(values: Mapping[str, Any], builder: Builder | None = None) -> Study:
    """The study of plain values whose methods are complete, as those of `Study.values` are.

    Raises:
        UserError: the study is wrong; one line names key, expectation and finding.
    """
    return _study(*_parse(with_new_names(values, {})), builder)


def describe(source: str | Path) -> str:
    """Every key of a study with its value, for `--help`.

    Raises:
        UserError: the study is wrong.
    """
    try:
        return str(study_parser(read_values(source), prog=f"tutelage run {source}").format_help())
    except Exception as error:  # jsonargparse raises many kinds
        raise UserError(f"{source}: {rephrase(error)}") from error


def _parse(values: Mapping[str, Any], flags: Sequence[str] = ()) -> tuple[dict[str, Any], Namespace]:
    """Values with flags laid over them and every default filled in: as plain values, and as jsonargparse has them."""
    try:
        parsed = study_parser(values).parse_args(flags)
        plain: dict[str, Any] = yaml.safe_load(study_parser().dump(parsed, skip_validation=True))
        train = TrainConfig(precision=plain["train"]["precision"], accelerator=plain["train"]["accelerator"])
    except Exception as error:  # jsonargparse raises many kinds
        raise UserError(rephrase(error)) from error
    plain["train"]["precision"] = parsed.train.precision = train.resolved_precision()
    return plain, parsed


def _study(
    plain: dict[str, Any], parsed: Namespace, builder: Builder | None = None, notes: Sequence[str] = ()
) -> Study:
    build = builder or Builder()
    build.add(plain, parsed)
    study = Study(plain, build, list(notes))
    validate(study)
    return study


def _one_net_per_task(change: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Keys of a study in which `teacher_net` names one network per task, where it is one for all."""
    nets = change.get("teacher_net")
    if isinstance(nets, str) or (isinstance(nets, dict) and "class_path" in nets):
        return {**change, "teacher_net": {t: copy.deepcopy(nets) for t in values.get("tasks") or {}}}
    return change


def _teacher_flags_per_task(flags: list[str], values: dict[str, Any]) -> list[str]:
    """The same of flags; a flag for one key of all teachers is refused."""
    flags, tasks = list(flags), values.get("tasks") or {}
    for i, flag in enumerate(flags):
        if flag == "--teacher_net" and flags[i + 1 :]:
            net = {"teacher_net": yaml.safe_load(flags[i + 1])}
            flags[i + 1] = json.dumps(_one_net_per_task(net, values)["teacher_net"])
        elif flag.startswith("--teacher_net.") and (key := flag.split(".")[1]) not in tasks:
            raise UserError(f"--teacher_net.{key}: expected --teacher_net.TASK.KEY with one of {', '.join(tasks)}")
    return flags


def _changed_methods(plain: dict[str, Any], values: dict[str, Any], flags: list[str]) -> list[str]:
    """The methods whose values flags make other than they are in the file."""
    rest: list[str] = []
    skipped = False
    for word in flags:
        if word.startswith("--"):
            skipped = word == "--method" or word.startswith("--method.")
        if not skipped:
            rest.append(word)
    if rest == flags:
        return []
    before = _parse(values, rest)[0]["method"]

    def settings(method: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in method.items() if key not in DESCRIPTIVE}

    return [name for name, method in plain["method"].items() if settings(method) != settings(before.get(name, {}))]


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


def _split_overlays(flags: Sequence[str]) -> tuple[list[str], list[str]]:
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


def _selected_methods(values: dict[str, Any], flags: list[str]) -> list[str]:
    for flag, value in zip(reversed(flags[:-1]), reversed(flags[1:]), strict=True):
        if flag == "--methods":
            try:
                names = yaml.safe_load(value)
            except yaml.YAMLError as error:
                raise UserError(f"--methods: expected names, found `{value}`: {one_line(error)}") from error
            break
    else:
        names = values.get("methods", list(DEFAULT_METHODS))
    return [str(name) for name in names] if isinstance(names, list) else []  # anything else is refused later


def _check_file(values: dict[str, Any], flags: list[str]) -> None:
    """Validate the file's keys, but for those that flags complete: their values are checked with the flags."""
    if not isinstance(values.get("train", {}), dict):
        raise UserError(f"train: expected keys and values, found {values['train']!r}")
    flagged = {flag[2:].split(".")[0] for flag in flags if flag.startswith("--")}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(StudyConfig, skip=flagged & {field.name for field in fields(StudyConfig)})
    parser.parse_object(copy.deepcopy({k: v for k, v in values.items() if k not in flagged}), defaults=True)
