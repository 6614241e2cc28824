"""Checks the keys, class names and paths of a study against what the classes take, without importing any of them.

A mistake is reported only where it is certain; what cannot be told from the source is left to jsonargparse.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tutelage.errors import UserError, cut, did_you_mean, near_path, nearest
from tutelage.values.schema.kinds import Declaration, Kind, ancestors, declaration
from tutelage.values.schema.source import MissingNameError, SourceError, UnreadableError, find_module

STUDY = "tutelage.study.config.schema.StudyConfig"
_CLASS = ("class_path", "init_args", "dict_kwargs")
_PACKAGES = ("balance", "data", "distill", "nets", "tasks", "train")  # whose classes a study names
_WORDS = {"true", "false", "yes", "no", "on", "off"}  # that are read as bool
_HELP = "`tutelage run STUDY --help` lists them"
_NAMES = {"int": "a whole number", "float": "a number", "bool": "true or false", "Path": "a path", "None": "null"}


def study_keys() -> Declaration:
    """The keys of a study."""
    return declaration(STUDY)


def train_keys() -> Declaration:
    """The keys of `train`, which flags name without their prefix, too."""
    return declaration("tutelage.train.config.TrainConfig")


def check_keys(values: Mapping[str, Any]) -> None:
    """Check the plain values of a study with its flags laid over them.

    Raises:
        UserError: a key or class is unknown, a required one is missing, a file is not there, or a value is of another
            kind.
    """
    _check_arguments(values, study_keys(), "", "")


def _check_arguments(values: Mapping[str, Any], declared: Declaration, key: str, owner: str) -> None:
    prefix = f"{key}." if key else ""
    for name in values:
        if name not in declared.arguments and not declared.open:
            raise UserError(f"{key + ': ' if key else ''}{unknown(str(name), declared.arguments)}")
    required = (name for name, argument in declared.arguments.items() if argument.default is None)
    for name in (name for name in required if name not in values and not declared.open):
        of = f" for {owner}" if owner else ""
        raise UserError(f"{prefix}{name}: expected a value{of}, found none; give it in the file or as --{prefix}{name}")
    downloads = bool(values.get("download"))  # so a folder need not be there
    for name, value in values.items():
        if (argument := declared.arguments.get(name)) is not None:
            if value is None and not argument.nullable:  # which jsonargparse takes where there is a default
                advice = "give one" if argument.default is None else "give one, or leave the key out for its default"
                raise UserError(f"{prefix}{name}: expected a value, found null; {advice}")
            _check(value, argument.kind, f"{prefix}{name}", not downloads)


def unknown(name: str, names: Iterable[str]) -> str:
    """What is said of an unknown key."""
    return f"expected a known key, found `{name}`{did_you_mean(name, names) or f'; {_HELP}'}"


def _check(value: Any, kind: Kind, key: str, is_there: bool = True) -> None:
    if value is None or any(value == choice and type(value) is type(choice) for choice in kind.choices):
        return
    if isinstance(value, Mapping):
        if kind.builds and "class_path" in value:
            _check_class(value, kind, key)
        elif kind.config is not None:
            _check_arguments(value, kind.config, key, "")
        elif kind.values is not None and not kind.builds:
            for name, item in value.items():
                _check(item, kind.values, f"{key}.{name}")
        elif kind.only_scalars:
            _check_scalar(value, kind, key, is_there)
        elif kind.only_lists:
            raise UserError(f"{key}: expected a list, found `{cut(value)}`")
    elif isinstance(value, list) and kind.item is not None:
        for item in value:
            _check(item, kind.item, key, is_there)
    elif kind.builds and isinstance(value, str) and not kind.only_keys:
        if "Path" in kind.scalars:
            _check_file(value, kind, key)
        elif not kind.scalars and not kind.open:
            _check_class({"class_path": value}, kind, key)
    elif kind.only_scalars:
        _check_scalar(value, kind, key, is_there)
    elif kind.only_lists:
        raise UserError(f"{key}: expected a list, found `{cut(value)}`")
    elif kind.only_keys:
        raise UserError(f"{key}: expected keys and values, found `{cut(value)}`")


def _check_class(value: Mapping[str, Any], kind: Kind, key: str) -> None:
    path, arguments = value["class_path"], value.get("init_args") or {}
    for name in value:
        if name not in _CLASS:
            raise UserError(f"{key}: expected class_path and init_args, found `{name}`{did_you_mean(name, _CLASS)}")
    if not isinstance(path, str) or not isinstance(arguments, Mapping) or value.get("dict_kwargs"):
        return  # refused, or understood, when the study is parsed
    try:
        full = full_path(path, key)
        declared = declaration(full)
    except UnreadableError:
        return
    except MissingNameError as error:
        module, _, name = path.rpartition(".")
        near = did_you_mean(name, _names_in(module))
        advice = "; correct class_path or install it" if "module" in str(error) else "; correct class_path"
        raise UserError(f"{key}: expected a class, found {error}{near or advice}") from error
    try:
        _check_arguments(arguments, declared.without_first(kind.skip), key, path)
    except UserError as error:  # reading the bases of every class takes longer than all else here
        above = ancestors(full) if kind.bases else None
        if above is None or above & kind.bases:
            raise
        expected = " or ".join(sorted(name.rpartition(".")[2] for name in kind.bases))
        raise UserError(f"{key}: expected a subclass of {expected}, found {path}") from error


def full_path(path: str, key: str) -> str:
    """The dotted path of a class that may be named by its last word alone.

    Raises:
        UnreadableError: it is none of tutelage's.
        UserError: it is no name of a class.
    """
    if "." in path:
        return path
    known = _classes()
    if path in known:
        return known[path]
    if near := nearest(path, known):
        raise UserError(f"{key}: expected a class_path, found `{path}`; did you mean `{known[near]}`?")
    raise UnreadableError(path)


@cache
def _classes() -> dict[str, str]:
    modules = [f"tutelage.{package}" for package in _PACKAGES]
    return {name: f"{module}.{name}" for module in modules for name in _names_in(module) if name[0].isupper()}


def _names_in(module: str) -> list[str]:
    try:
        return find_module(module).names
    except SourceError:
        return []


def _check_file(value: str, kind: Kind, key: str) -> None:
    path = Path(value)
    if not path.exists():
        choices = [str(choice) for choice in kind.choices]
        expected = " or ".join([*(f"`{choice}`" for choice in choices), "a file or folder"])
        near = did_you_mean(value, choices) or near_path(path)
        raise UserError(f"{key}: expected {expected}, found none at {value}{near}")


def _check_scalar(value: Any, kind: Kind, key: str, is_there: bool) -> None:
    scalars = kind.scalars
    if "Path" in scalars and isinstance(value, str):
        if is_there:
            _check_file(value, kind, key)
        return
    word = str(value).lower()
    fits = (
        "str" in scalars
        or ("bool" in scalars and word in _WORDS)
        or ("float" in scalars and _is_number(word))
        or ("int" in scalars and (_is_number(word) and float(word).is_integer()))
        or any(word == str(choice).lower() for choice in kind.choices)
    )
    if not fits:
        kinds = [_NAMES[name] for name in ("int", "float", "bool", "Path", "None") if name in scalars]
        expected = " or ".join([*(f"`{choice}`" for choice in kind.choices), *kinds])
        near = did_you_mean(word, map(str, kind.choices))
        raise UserError(f"{key}: expected {expected}, found `{cut(value)}`{near}")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
