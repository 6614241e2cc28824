"""From a preset or a YAML file, with overlays and flags, to plain values and the flags that change them."""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tutelage.errors import UserError, one_line
from tutelage.layout import SINGLE, TEACHER
from tutelage.values.aliases import flags_with_new_names, notes, with_new_names
from tutelage.values.methods import DEFAULT_METHODS, definitions, for_study, merge
from tutelage.values.presets import is_preset_overlay, read_overlay, read_values

_LISTS = ("seeds", "methods")  # `--seeds 0,1,2`


@dataclass(frozen=True)
class Draft:
    """A study as far as it can be read without the classes that it names.

    Attributes:
        source: the preset or the file, for messages.
        values: of the file and its overlays, with the definitions of all selected methods.
        flags: words of the command line that change values, as keys and values in turn.
        notes: lines for the user about old names.
    """

    source: str
    values: dict[str, Any]
    flags: list[str]
    notes: list[str]


def read_draft(source: str | Path, overrides: Sequence[str] = ()) -> Draft:
    """Read a preset or a YAML file, lay overlays over it, replace old names and define the selected methods.

    Args:
        source: the name of a preset, or a YAML file.
        overrides: flags as on the command line; `--with FILE` lays an overlay over the study.

    Raises:
        UserError: there is no such preset, file, overlay or method, or it does not hold keys and values.
    """
    replaced: dict[str, str] = {}
    values = with_new_names(read_values(source), replaced)
    flags, overlays = _split_overlays(overrides)
    try:
        values = with_overlays(values, overlays, replaced)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    return make_draft(str(source), values, _split_values(flags), replaced)


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
    flags: Sequence[str] = (),
    replaced: dict[str, str] | None = None,
) -> Draft:
    """Replace old names in the plain values of a study, and define its selected methods.

    Args:
        source: where the values come from, for messages.
        values: of the study.
        flags: keys and values in turn.
        replaced: {old name: new name} of those that are replaced already.

    Raises:
        UserError: there is no such method.
    """
    replaced = {} if replaced is None else replaced
    try:
        values = _one_net_per_task(with_new_names(values, replaced), values)
        flags = flags_with_new_names(list(flags), values, replaced)
        selected = _selected_methods(values, flags)
        values["method"] = definitions(values, selected)
        _refuse_flags_of_others(flags, selected)
        flags = _teacher_flags_per_task(flags, values)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    return Draft(source, values, flags, notes(replaced))


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


def _split_values(flags: Sequence[str]) -> list[str]:
    """The flags with `--key=value` as two words, and `--seeds 0,1,2` as a list."""
    result: list[str] = []
    for word in (word for flag in flags for word in (flag.split("=", 1) if flag.startswith("--") else [flag])):
        of_list = bool(result) and result[-1].removeprefix("--") in _LISTS
        result.append(f"[{word}]" if of_list and not word.startswith(("--", "[")) else word)
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


def _refuse_flags_of_others(flags: list[str], selected: list[str]) -> None:
    """A method that is not selected has no definition that a flag could change."""
    for flag in flags:
        if flag.startswith("--method.") and (name := flag.split(".")[1]) not in (SINGLE, TEACHER, *selected):
            raise UserError(
                f"method.{name}: expected one of the selected methods, {', '.join(selected)}, found `{name}`; add it "
                f"to --methods, or leave {flag} out"
            )


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
