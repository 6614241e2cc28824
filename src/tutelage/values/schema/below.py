"""What is below a key of a study: the arguments of the class that stands there, the keys of a group, or names."""

import copy
from collections.abc import Mapping
from itertools import chain
from typing import Any

from tutelage.errors import UserError
from tutelage.values.schema.keys import full_path, study_keys, train_keys
from tutelage.values.schema.kinds import ANYTHING, Declaration, Kind, declaration
from tutelage.values.schema.source import SourceError

SHORT = {"lr": "train.student.optimizer.lr"}  # flags besides the keys of `train`, which need no prefix


def flag_names() -> dict[str, list[str]]:
    """The flags that any study has, without the dashes, and the values from which each takes one."""
    train = {name.replace("_", "-"): argument for name, argument in train_keys().arguments.items()}
    kinds = {name: argument.kind for name, argument in (train | study_keys().arguments).items()}
    choices = {name: [str(choice) for choice in kind.choices] for name, kind in kinds.items()}
    return {name: choices.get(name, []) for name in chain(["with"], SHORT, kinds)}


def flags_of(values: dict[str, Any]) -> dict[str, list[str]]:
    """The flags of one study, with whole keys and without the dashes, and the values from which each takes one."""
    found: dict[str, list[str]] = {}

    def walk(node: dict[str, Any], names: Mapping[str, Kind], defaults: Mapping[str, str | None], prefix: str) -> None:
        for name, kind in names.items():
            found[f"{prefix}{name}"] = [str(choice) for choice in kind.choices]
            try:
                below = enter(node, name, kind, defaults.get(name))
            except UserError:  # a class that is none
                continue
            if below is not None:
                inner, declared = below
                arguments = {} if declared is None else declared.arguments
                kinds = {n: a.kind for n, a in arguments.items()} or dict.fromkeys(inner, kind.values or ANYTHING)
                walk(inner, kinds, {n: a.default_path for n, a in arguments.items()}, f"{prefix}{name}.")

    top = study_keys().arguments
    walk(copy.deepcopy(values), {name: argument.kind for name, argument in top.items()}, {}, "")
    return found


def enter(
    node: dict[str, Any], word: str, kind: Kind, default: str | None
) -> tuple[dict[str, Any], Declaration | None] | None:
    """What is below the value at `word`, which is made where there is none: a mapping, and what may stand in it.

    Returns:
        The mapping, and what the class takes whose arguments it holds, or None where it holds names of the study's own;
        None where nothing is known.
    """
    value = node.get(word)
    if isinstance(value, str) and kind.builds:
        value = {"class_path": value}
    if value is None:
        value = {"class_path": default} if kind.builds and kind.config is None and default else {}
    if not isinstance(value, dict):
        return None
    node[word] = value
    if kind.builds and isinstance(path := value.get("class_path"), str):
        try:
            declared = declaration(full_path(path, word)).without_first(kind.skip)
        except SourceError:  # the check of the values says it, where it is sure
            return None
        arguments = value.setdefault("init_args", {})
        return (arguments, declared) if isinstance(arguments, dict) else None
    if kind.config is not None:
        return value, kind.config
    return (value, None) if kind.values is not None and not kind.open else None
