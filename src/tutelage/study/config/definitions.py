"""Definitions of methods, each parsed by itself: they are most of what a study costs to parse."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from tutelage.study.config.schema import StudyConfig

_OURS = ("tutelage.", "torch.")  # a class of anybody else may be another the next time, under the same name
_WORDS = ("about", "search")  # keys that hold sentences, and paths of keys


@dataclass(frozen=True)
class _Definition:
    """Equal where its text is."""

    text: str
    named: dict[str, Any] = field(compare=False)


def parse_method(name: str, definition: Any) -> tuple[dict[str, Any], Namespace]:
    """A definition with every default filled in: as plain values, and as jsonargparse has them.

    One that names no class but ours and PyTorch's is parsed once in a process.

    Raises:
        Exception: of many kinds, as jsonargparse does; the message says which key.
    """
    named = {name: definition}
    if all(text.startswith(_OURS) for text in _texts(definition) if "." in text):
        return copy.deepcopy(_parse_once(_Definition(repr(named), named)))
    return _parse(named)


@lru_cache(maxsize=256)
def _parse_once(method: _Definition) -> tuple[dict[str, Any], Namespace]:
    return _parse(method.named)


def _parse(named: dict[str, Any]) -> tuple[dict[str, Any], Namespace]:
    parser = _parser()
    parsed = parser.parse_object({"method": copy.deepcopy(named)}, defaults=True)
    (plain,) = yaml.safe_load(parser.dump(parsed, skip_validation=True))["method"].values()
    (method,) = parsed.method.values()
    return plain, method


@cache
def _parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(StudyConfig, skip={field.name for field in fields(StudyConfig)} - {"method"})
    return parser


def _texts(value: Any) -> Iterator[str]:
    """All texts among plain values, but for words."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in _WORDS:
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
