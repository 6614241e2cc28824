"""From the plain values of a study to its objects: the only place that builds what a YAML file names."""

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import fields
from functools import cache
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from tutelage.data.fingerprint import as_formerly
from tutelage.errors import UserError, user_code
from tutelage.study.config.schema import StudyConfig
from tutelage.values import rephrase

_BY_NAME = ("tasks", "teacher_net", "method", "teachers")  # fields of the study that hold several objects by name
_PLAIN = ("study", "methods", "seeds", "out")  # fields that are what they say: nothing is built


def study_parser(values: Mapping[str, Any] | None = None, prog: str | None = None) -> ArgumentParser:
    """The parser of a study's keys, with `values` as its defaults."""
    about = (
        "Keys of the study, with its values as defaults; keys of `train` need no prefix: --epochs 2, --max-steps 100. "
        "Besides: --with FILE lays an overlay over the study, --with ablation adds the controls."
    )
    parser = ArgumentParser(prog=prog, exit_on_error=False, description=about)
    parser.add_class_arguments(StudyConfig)
    if values:
        parser.set_defaults(copy.deepcopy(dict(values)))
    return parser


@cache
def plain_parser() -> ArgumentParser:
    """The parser without values, made once: it is a sixth of what a study costs to load."""
    return study_parser()


class Builder:
    """Builds the objects of plain values; equal values give the same object.

    So all runs of a study, whose configs share most of their values, share the images that its data keep in memory.
    """

    def __init__(self) -> None:
        self._objects: dict[str, Any] = {}  # field and plain value -> object
        self._fingerprints: dict[tuple[int, bool], str] = {}

    def __call__(self, values: Mapping[str, Any]) -> StudyConfig:
        """The objects of a study's values.

        Raises:
            UserError: a class is missing, or takes no such arguments.
        """
        if any(key not in self._objects for _, _, key in _components(values)):
            try:
                self.add(values, plain_parser().parse_object(copy.deepcopy(dict(values)), defaults=True))
            except Exception as error:  # jsonargparse raises many kinds; the message says what is wrong
                raise UserError(rephrase(error)) from error
        objects: dict[str, Any] = {field: {} for field in _BY_NAME if field in values}
        objects |= {field: values[field] for field in _PLAIN if field in values}
        for field, name, key in _components(values):
            if name is None:
                objects[field] = self._objects[key]
            else:
                objects[field][name] = self._objects[key]
        return StudyConfig(**objects)

    def add(self, values: Mapping[str, Any], parsed: Namespace) -> None:
        """Build the objects of values that are parsed already.

        Raises:
            UserError: whatever a class raises when it is built.
        """
        try:
            objects = vars(plain_parser().instantiate(parsed))
        except Exception as error:  # whatever a class of the user raises when it is built
            place, line = user_code(error), rephrase(error)
            if place is not None and not isinstance(error, ValueError):
                line = f"{place}: expected a class that can be built, found {type(error).__name__}: {line}"
            raise UserError(line) from error
        for field, name, key in _components(values):
            self._objects.setdefault(key, objects[field] if name is None else objects[field][name])

    def fingerprint(self, objects: StudyConfig) -> str:
        """The fingerprint of a study's data, which are read once for it."""
        return self._fingerprint(objects, former=False)

    def former_fingerprint(self, objects: StudyConfig) -> str:
        """The fingerprint that an earlier version gave the same data, of which it read parts alone."""
        return self._fingerprint(objects, former=True)

    def _fingerprint(self, objects: StudyConfig, former: bool) -> str:
        key = id(objects.data), former  # the builder keeps the object
        if key not in self._fingerprints:
            with as_formerly() if former else nullcontext():
                self._fingerprints[key] = objects.data.fingerprint()
        return self._fingerprints[key]


def build_some(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Some keys of a study, with every default filled in: as plain values and as objects.

    Raises:
        UserError: a value is wrong, or whatever a class raises when it is built.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(StudyConfig, skip={f.name for f in fields(StudyConfig)} - values.keys())
    try:
        parsed = parser.parse_object(copy.deepcopy(dict(values)), defaults=True)
        plain: dict[str, Any] = yaml.safe_load(parser.dump(parsed, skip_validation=True))
        return plain, dict(vars(parser.instantiate(parsed)))
    except Exception as error:  # jsonargparse raises many kinds, and a class of the user any
        raise UserError(rephrase(error)) from error


def _components(values: Mapping[str, Any]) -> Iterator[tuple[str, str | None, str]]:
    """Field of `StudyConfig`, name within it or None, and what identifies the object."""
    for field in (f.name for f in fields(StudyConfig) if f.name in values and f.name not in _PLAIN):
        value = values[field]
        if field in _BY_NAME and isinstance(value, Mapping):
            yield from ((field, str(name), _key(field, item)) for name, item in value.items())
        else:
            yield field, None, _key(field, value)


def _key(field: str, value: Any) -> str:
    return f"{field}: {json.dumps(value, sort_keys=True, default=str)}"
