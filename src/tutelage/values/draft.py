"""From a preset or a YAML file, with overlays and flags, to plain values and the flags that change them."""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tutelage.errors import UserError, did_you_mean, one_line
from tutelage.layout import SINGLE, TEACHER
from tutelage.values.aliases import flags_with_new_names, notes, with_new_names
from tutelage.values.methods import DEFAULT_METHODS, definitions, for_study, with_those_that_teach
from tutelage.values.paths import expand_paths
from tutelage.values.plain import merge
from tutelage.values.presets import is_preset_overlay, read_overlay, read_values
from tutelage.values.schema import Flags, check_keys, lay_over, pair_up
from tutelage.values.teachers import check_names
from tutelage.values.yaml_text import load_yaml


@dataclass(frozen=True)
class Draft:
    """A study as far as it can be read without the classes that it names.

    Attributes:
        source: the preset or the file, for messages.
        values: of the file and its overlays, with the definitions of all selected methods.
        flags: words of the command line that change values, as whole keys and values in turn.
        laid: the values with the flags laid over them, as far as that can be known.
        notes: lines for the user about old names and methods that were added.
    """

    source: str
    values: dict[str, Any]
    flags: list[str]
    laid: dict[str, Any]
    notes: list[str]


def read_draft(source: str | Path, overrides: Sequence[str] = (), others: Sequence[str] = ()) -> Draft:
    """Read a preset or a YAML file, lay overlays over it, replace old names, define the methods and check all keys.

    Args:
        source: the name of a preset, or a YAML file.
        overrides: flags as on the command line; `--with FILE` lays an overlay over the study.
        others: names of flags that the command has besides, for suggestions.

    Raises:
        UserError: there is no such preset, file, overlay, method, key or class, or a value is of another kind.
    """
    replaced: dict[str, str] = {}
    values = with_new_names(read_values(source), replaced)
    try:
        flags = pair_up(overrides)
        values = with_overlays(values, [value or "" for flag, value in flags if flag == "--with"], replaced)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    flags = [(flag, value) for flag, value in flags if flag != "--with"]
    draft = make_draft(str(source), values, flags, replaced, others)
    try:
        laid = expand_paths(draft.laid)
        check_keys(laid)
        check_names(laid)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    return draft


def with_overlays(values: dict[str, Any], overlays: Sequence[str], replaced: dict[str, str]) -> dict[str, Any]:
    """Plain values of a study with overlays laid over them, presets or YAML files.

    Args:
        values: of the study.
        overlays: one after the other.
        replaced: receives {old name: new name} of every one in them.

    Raises:
        UserError: there is no such overlay, or it does not hold keys and values.
    """
    values = _one_net_per_task(values, values)
    for overlay in overlays:
        change = with_new_names(read_overlay(overlay), replaced)
        if is_preset_overlay(overlay):
            change = for_study(change, values)
        values = merge(values, _one_net_per_task(change, merge(values, change)))
    return values


def make_draft(
    source: str,
    values: dict[str, Any],
    flags: Flags = (),
    replaced: dict[str, str] | None = None,
    others: Sequence[str] = (),
) -> Draft:
    """Replace old names in the plain values of a study, and define its selected methods.

    Args:
        source: where the values come from, for messages.
        values: of the study.
        flags: as written, with their values.
        replaced: {old name: new name} of those that are replaced already.
        others: names of flags that the command has besides, for suggestions.

    Raises:
        UserError: there is no such method, or a flag is no key of the study.
    """
    replaced = {} if replaced is None else replaced
    try:
        values = _one_net_per_task(with_new_names(values, replaced), values)
        flags = flags_with_new_names(flags, values, replaced)
        named = _selected_methods(values, flags)
        selected = with_those_that_teach(values, named, _taught_by(flags))
        if added := [name for name in selected if name not in named]:
            flags = [(flag, value) for flag, value in flags if flag != "--methods"]
            values["methods"] = selected
        values["method"] = definitions(values, selected)
        _refuse_flags_of_others(flags, selected)
        words, laid = lay_over(values, _teacher_flags_per_task(flags, values), others)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    return Draft(source, values, words, laid, [*notes(replaced), *map(_added, added)])


def _added(name: str) -> str:
    return f"methods: `{name}` is added, since its student teaches another method"


def _one_net_per_task(change: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Keys of a study in which `teacher_net` names one network per task, where it is one for all."""
    nets = change.get("teacher_net")
    if isinstance(nets, str) or (isinstance(nets, dict) and "class_path" in nets):
        return {**change, "teacher_net": {t: copy.deepcopy(nets) for t in values.get("tasks") or {}}}
    return change


def _teacher_flags_per_task(flags: Flags, values: dict[str, Any]) -> Flags:
    """The same of flags: one for a key of all teachers becomes one for each."""
    result: list[tuple[str, str | None]] = []
    tasks, nets = values.get("tasks") or {}, values.get("teacher_net") or {}
    for flag, value in flags:
        if flag == "--teacher_net" and value is not None:
            nets = _one_net_per_task({"teacher_net": _read(flag, value)}, values)["teacher_net"]
            result.append((flag, json.dumps(nets)))
        elif flag.startswith("--teacher_net.") and (key := flag.split(".")[1]) not in tasks:
            if (advice := did_you_mean(key, tasks)) or not isinstance(nets, dict) or not nets:
                raise UserError(
                    f"--teacher_net.{key}: expected --teacher_net.KEY for all teachers, or --teacher_net.TASK.KEY with "
                    f"one of {', '.join(tasks)}, found `{key}`{advice}"
                )
            rest = flag.removeprefix("--teacher_net.")
            result += [(f"--teacher_net.{t}.{rest}", value) for t in nets]
        else:
            result.append((flag, value))
    return result


def _selected_methods(values: dict[str, Any], flags: Flags) -> list[str]:
    given = [value for flag, value in flags if flag == "--methods" and value is not None]
    names = values.get("methods", list(DEFAULT_METHODS))
    if given:
        names = _read("--methods", given[-1] if given[-1].startswith("[") else f"[{given[-1]}]")
    return [str(name) for name in names] if isinstance(names, list) else []  # anything else is refused later


def _taught_by(flags: Flags) -> dict[str, Any]:
    """Method -> the `taught_by` that a flag gives it."""
    found = {}
    for flag, value in flags:
        name, _, key = flag.removeprefix("--method.").rpartition(".")
        if flag.startswith("--method.") and key == "taught_by" and value is not None:
            found[name] = _read(flag, value)
    return found


def _refuse_flags_of_others(flags: Flags, selected: list[str]) -> None:
    """A method that is not selected has no definition that a flag could change."""
    for flag, _ in flags:
        if flag.startswith("--method.") and (name := flag.split(".")[1]) not in (SINGLE, TEACHER, *selected):
            advice = did_you_mean(name, selected) or f"; add it to --methods, or leave {flag} out"
            raise UserError(
                f"method.{name}: expected one of the selected methods, {', '.join(selected)}, found `{name}`{advice}"
            )


def _read(flag: str, value: str) -> Any:
    try:
        return load_yaml(value)
    except yaml.YAMLError as error:
        raise UserError(f"{flag}: expected YAML, found `{value}`: {one_line(error)}") from error
