"""What comes with tutelage: preset studies, overlays and methods; and how a study's own keys are laid over them."""

from collections.abc import Container
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from tutelage.errors import UserError, one_line
from tutelage.study.config import METHODS_ALONE, SINGLE, TEACHER

_PRESETS = resources.files("tutelage.study") / "presets"


def presets() -> dict[str, str]:
    """Name and one line of every preset study."""
    return _headlines(_PRESETS, lambda text: text.splitlines()[0].lstrip("# "))


def overlays() -> dict[str, str]:
    """Name and one line of every overlay, which `--with` lays over any study."""
    return _headlines(_PRESETS / "overlays", lambda text: text.splitlines()[0].lstrip("# "))


def methods() -> dict[str, str]:
    """Name and one line of every preset method."""
    about = {SINGLE: "The single-task networks: the teachers, and what Delta compares with"}
    return about | _headlines(_PRESETS / "methods", lambda text: yaml.safe_load(text)["about"])


def _headlines(folder: Any, line: Any) -> dict[str, str]:
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): line(file.read_text()) for file in files}


def read_values(source: str | Path) -> dict[str, Any]:
    """The plain values of a preset or a YAML file."""
    path = Path(source)
    preset = _PRESETS / f"{source}.yaml"
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.is_file():
            raise UserError(f"{source}: expected a YAML file of a study, found none; see `tutelage presets`")
        try:
            text = path.read_text()
        except ValueError as error:
            raise UserError(f"{source}: expected text, found {error}") from error
    elif preset.is_file():
        text = preset.read_text()
    else:
        raise UserError(f"{source}: expected a YAML file or one of the presets {', '.join(presets())}; found neither")
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{source}: expected YAML, found {one_line(error)}") from error
    if not isinstance(values, dict):
        raise UserError(f"{source}: expected keys and values of a study, found {type(values).__name__}")
    return values


def read_overlay(source: str, tasks: Any = None) -> dict[str, Any]:
    """The values of an overlay: a preset's name, or a YAML file with some keys of a study.

    Raises:
        ValueError: there is none of that name, or it is no YAML file of keys and values.
    """
    preset = _PRESETS / "overlays" / f"{source}.yaml"
    if preset.is_file():
        values: dict[str, Any] = _of_tasks(yaml.safe_load(preset.read_text()), tasks if isinstance(tasks, dict) else {})
        return values
    if not Path(source).is_file():
        raise UserError(f"--with {source}: expected a YAML file or one of {', '.join(overlays())}; found neither")
    return read_values(source)


def definitions(values: dict[str, Any], selected: list[str]) -> dict[str, Any]:
    """The study's own methods, and those of ours that it selects; the study's own keys win."""
    own, known = values.get("method") or {}, methods()
    if not isinstance(own, dict):
        raise UserError(f"method: expected names and values of methods, found {own!r}")
    for name in selected:
        if name == TEACHER or (name != SINGLE and name not in own and name not in known):
            raise UserError(f"methods: expected names among {', '.join({**known, **own})}; found `{name}`")
    tasks = values.get("tasks")
    tasks = tasks if isinstance(tasks, dict) else {}
    found = {n: _definition(n, own, tasks) for n in selected if n != SINGLE}
    for name in (name for name in (SINGLE, TEACHER) if name in own):
        one = own[name]
        found[name] = {"values": "changed" if one.get("lr") else "study", **one} if isinstance(one, dict) else one
    return found  # anything else is refused later


def _definition(name: str, own: dict[str, Any], tasks: Container[str], below: tuple[str, ...] = ()) -> Any:
    """A method: what the study says of it, laid over the method that it names as `base`, or over ours of that name.

    The base is the study's, so that a control of a method that the study changes is a control of that. A list of bases
    is laid one over the other: [kd4mtl, gradnorm] distils as the first and balances as the second. `times` multiplies
    values of the base: {distiller.init_args.scale: 0.1}.
    """
    mine = own.get(name) or {}
    if not isinstance(mine, dict):
        return mine  # refused later
    mine = dict(mine)
    base, times = mine.pop("base", name), mine.pop("times", {})
    method: Any = {}
    for one in base if isinstance(base, list) else [base]:
        if one == name:
            under = _method(name, tasks) if name in methods() else {}
        elif one in (SINGLE, TEACHER) or one in below or (one not in methods() and one not in own):
            known = ", ".join(n for n in {**methods(), **own} if n not in (SINGLE, TEACHER, name))
            raise UserError(f"method.{name}.base: expected one of {known}; found `{one}`")
        else:
            under = _definition(one, own, tasks, (*below, name))
            under = {"values": "own", **under} if isinstance(under, dict) else under
        method = merge(method, under)
    method = merge(method, mine)
    for path, factor in times.items():
        _multiply(name, method, path, factor)
    if "values" not in mine and (times or mine.keys() - set(METHODS_ALONE)) and (method.get("values") or base != name):
        method["values"] = "changed" if base == name else "own"
    return method


def _multiply(name: str, method: dict[str, Any], path: str, factor: Any) -> None:
    *keys, last = path.split(".")
    values: Any = method
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    number = values.get(last) if isinstance(values, dict) else None
    if not isinstance(number, int | float) or not isinstance(factor, int | float):
        raise UserError(
            f"method.{name}.times.{path}: expected a factor for a number of the base, found {factor!r} for {number!r}"
        )
    values[last] = number * factor


def _method(name: str, tasks: Container[str]) -> Any:
    return _of_tasks(yaml.safe_load((_PRESETS / "methods" / f"{name}.yaml").read_text()), tasks)


def _of_tasks(value: Any, tasks: Container[str]) -> Any:
    """A preset's values with the lambdas of NYU-v2's tasks as far as the study has them."""
    if isinstance(value, list):
        return [_of_tasks(item, tasks) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: {task: weight for task, weight in item.items() if task in tasks}
        if key == "weights" and isinstance(item, dict)
        else _of_tasks(item, tasks)
        for key, item in value.items()
    }


def merge(base: Any, change: Any) -> Any:
    """`change` laid over `base`, key by key; a class in place of another one takes none of its arguments."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    if "class_path" in change and change["class_path"] != base.get("class_path"):
        return change
    return {**base, **{key: merge(base.get(key), value) for key, value in change.items()}}
