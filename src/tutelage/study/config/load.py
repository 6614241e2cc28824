"""From the plain values of a study to a validated one: every mistake in them is one line."""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from tutelage.errors import UserError
from tutelage.study.config.build import Builder, plain_parser, study_parser
from tutelage.study.config.definitions import parse_method
from tutelage.study.config.precision import resolve_precision, slow_in_bf16
from tutelage.study.config.schema import StudyConfig
from tutelage.study.config.study import Study, study_folder
from tutelage.study.config.validate import validate
from tutelage.train import TrainConfig
from tutelage.values import DESCRIPTIVE, Draft, read_draft, read_values, rephrase, with_new_names
from tutelage.values.paths import expand_flags, expand_paths


def load_study(source: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Read and validate a study.

    Args:
        source: the name of a preset, or a YAML file.
        overrides: flags as on the command line, for example `["--epochs", "2", "--net.width", "0.5"]`; keys of `train`
            need no prefix; `--with FILE` lays an overlay over the study.

    Raises:
        UserError: the study is wrong; one line names key, expectation and finding.
    """
    return complete(read_draft(source, overrides))


def complete(draft: Draft) -> Study:
    """Fill in every default of what was read, and validate it.

    Raises:
        UserError: the study is wrong; one line names key, expectation and finding.
    """
    values, flags = draft.values, draft.flags
    try:
        _check_file(values, flags)
    except Exception as error:  # jsonargparse raises many kinds; the message says what is wrong
        raise UserError(f"{draft.source}: {rephrase(error)}") from error
    plain, parsed = _parse(values, flags)
    for name in _changed_methods(plain, values, flags):
        plain["method"][name]["values"] = parsed.method[name]["values"] = "changed"
    return _study(plain, parsed, notes=draft.notes)


def resolve(values: Mapping[str, Any], builder: Builder | None = None) -> Study:
    """The study of plain values whose methods are complete, as those of `Study.values` are.

    Raises:
        UserError: the study is wrong; one line names key, expectation and finding.
    """
    return _study(*_parse(with_new_names(values, {})), builder)


def filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values of a study or of one of its runs, with every default filled in.

    Raises:
        UserError: a key or a value is none.
    """
    plain, _ = _parse(with_new_names(values, {}))
    plain["train"]["precision"] = _precision(plain)
    return plain


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
    whole, flags = expand_paths(dict(values)), expand_flags(flags)
    flagged, others = _split_methods(whole.get("method", {}), flags)
    try:
        parsed = study_parser(whole | {"method": flagged}).parse_args(_joined(flags))
        plain: dict[str, Any] = yaml.safe_load(plain_parser().dump(parsed, skip_validation=True))
        for name, method in others.items():
            plain["method"][name], parsed.method[name] = parse_method(name, method)
    except Exception as error:  # jsonargparse raises many kinds
        raise UserError(rephrase(error)) from error
    return plain, parsed


def _joined(flags: Sequence[str]) -> list[str]:
    """The same words with `=` before a value that begins with `-`, which argparse takes for a flag otherwise."""
    words: list[str] = []
    for word in flags:
        if words and words[-1].startswith("--") and "=" not in words[-1] and re.match("-[^-]", word):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def _split_methods(methods: Any, flags: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """The definitions that flags change, and the others."""
    if not isinstance(methods, dict) or "--method" in flags:
        return methods, {}
    names = {flag.split(".")[1] for flag in flags if flag.startswith("--method.")}
    flagged = {name: method for name, method in methods.items() if name in names}
    return flagged, {name: method for name, method in methods.items() if name not in names}


def _study(
    plain: dict[str, Any], parsed: Namespace, builder: Builder | None = None, notes: Sequence[str] = ()
) -> Study:
    build = builder or Builder()
    plain["train"]["precision"] = parsed.train.precision = _precision(plain)
    build.add(plain, parsed)
    study = Study(plain, build, list(notes))
    validate(study)
    return study


def _precision(plain: dict[str, Any]) -> Any:
    """That in which a study is trained."""
    try:
        train = TrainConfig(precision=plain["train"]["precision"], accelerator=plain["train"]["accelerator"])
    except ValueError as error:
        raise UserError(rephrase(error)) from error
    return resolve_precision(train, study_folder(plain), partial(slow_in_bf16, plain))


def _changed_methods(plain: dict[str, Any], values: dict[str, Any], flags: list[str]) -> list[str]:
    """The methods whose values flags make other than they are in the file."""
    names = {flag.split(".")[1] for flag in flags if flag.startswith("--method.")}
    names |= plain["method"].keys() if "--method" in flags else set()
    whole = expand_paths(dict(values)).get("method")
    given = whole if isinstance(whole, dict) else {}

    def settings(method: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in method.items() if key not in DESCRIPTIVE}

    try:
        before = {name: settings(parse_method(name, given[name])[0]) for name in names & given.keys()}
    except Exception as error:  # jsonargparse raises many kinds
        raise UserError(rephrase(error)) from error
    return [name for name in names & plain["method"].keys() if settings(plain["method"][name]) != before.get(name)]


def _check_file(values: dict[str, Any], flags: list[str]) -> None:
    """Validate the file's keys, but for those that flags complete: their values are checked with the flags."""
    if not isinstance(values.get("train", {}), dict):
        raise UserError(f"train: expected keys and values, found {values['train']!r}")
    paths = [flag[2:].split(".") for flag in flags if flag.startswith("--")]
    flagged = {path[0] for path in paths if not (path[0] == "train" and len(path) == 2)}  # no key of `train` is needed
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(StudyConfig, skip=flagged & {field.name for field in fields(StudyConfig)})
    rest = {key: value for key, value in values.items() if key not in flagged}
    methods = rest.pop("method", {})
    parser.parse_object(copy.deepcopy(rest), defaults=True)
    for name, method in methods.items():
        parse_method(name, method)
