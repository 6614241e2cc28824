"""Plain values: in the text of a file that may come from anybody or be damaged, and laid over others."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from tutelage.errors import one_line
from tutelage.files import DIGEST, record_digest
from tutelage.values.yaml_text import SAFE_LOADER, load_yaml

_DEEPEST = 100  # mappings and lists inside each other
_BITS = 1000  # of a whole number: no float holds a larger one
_MOST = 10**6  # values: an alias in YAML repeats what it names, so that a few lines could stand for any number


def parse(text: str | bytes, suffix: str) -> Any:
    """The plain values that a text holds: JSON where the file's suffix is `.json` or `.jsonl`, else YAML.

    Raises:
        ValueError: It holds something else, is nested too deeply, stands for too many values, or does not have the
            digest that `files.write_record` wrote into it; one line.
    """
    try:
        value = json.loads(text) if suffix in (".json", ".jsonl") else _parse_yaml(text)
    except yaml.YAMLError as error:
        raise ValueError(one_line(error)) from error
    except RecursionError:
        raise ValueError(f"more than {_DEEPEST} levels of keys and lists") from None
    _check(value)
    if isinstance(value, dict) and DIGEST in value and value[DIGEST] != record_digest(value):
        raise ValueError("other values than were written")
    return value


def _parse_yaml(text: str | bytes) -> Any:
    depth = 0
    for event in yaml.parse(text, Loader=SAFE_LOADER):  # what builds the values would overflow the stack of C
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} levels of keys and lists")
    return load_yaml(text)


def _check(value: Any) -> None:
    level, count = [value], 1
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for item in level:
            if isinstance(item, Mapping | list):
                below += item.values() if isinstance(item, Mapping) else item
                if count + len(below) > _MOST:
                    raise ValueError(f"more than {_MOST} values")
            elif isinstance(item, int) and item.bit_length() > _BITS:
                raise ValueError(f"a number of more than {_BITS} bits")
        if not below:
            return
        level, count = below, count + len(below)
    raise ValueError(f"more than {_DEEPEST} levels of keys and lists")


def merge(base: Any, change: Any) -> Any:
    """`change` laid over `base`, key by key; a class in place of another one takes none of its arguments."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    if "class_path" in change and change["class_path"] != base.get("class_path"):
        return change
    return {**base, **{key: merge(base.get(key), value) for key, value in change.items()}}
