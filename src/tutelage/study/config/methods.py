"""How the definition of a method comes about: presets, the study's own keys, and methods that build on others."""

from collections.abc import Container
from typing import Any

from tutelage.errors import UserError
from tutelage.study.config.presets import methods, read_method
from tutelage.study.config.schema import METHODS_ALONE, SINGLE, TEACHER


def definitions(values: dict[str, Any], selected: list[str]) -> dict[str, Any]:
    """The definitions of the selected methods, presets' or the study's own; the study's own keys win.

    Raises:
        UserError: a name is neither a preset's nor the study's.
    """
    own, presets = values.get("method") or {}, methods()
    if not isinstance(own, dict):
        raise UserError(f"method: expected names and values of methods, found {own!r}")
    for name in selected:
        if name == TEACHER or (name != SINGLE and name not in own and name not in presets):
            raise UserError(f"methods: expected names among {', '.join({**presets, **own})}; found `{name}`")
    tasks = values.get("tasks")
    tasks = tasks if isinstance(tasks, dict) else {}
    defined = {name: _definition(name, own, tasks) for name in selected if name != SINGLE}
    for name in (name for name in (SINGLE, TEACHER) if name in own):
        keys = own[name]
        # A value that is no mapping is refused when the study is parsed.
        defined[name] = {"values": "changed" if keys.get("lr") else "study", **keys} if isinstance(keys, dict) else keys
    return defined


def _definition(name: str, own: dict[str, Any], tasks: Container[str], below: tuple[str, ...] = ()) -> Any:
    """A method: the study's keys laid over the method that they name as `base`, or over the preset of that name.

    The base is the study's, so a control of a method that the study changes is a control of the changed method. A list
    of bases is laid one over the other: [kd4mtl, gradnorm] distils as the first and balances as the second. `times`
    multiplies values of the base: {distiller.init_args.scale: 0.1}.
    """
    keys = own.get(name) or {}
    if not isinstance(keys, dict):
        return keys  # refused when the study is parsed
    keys = dict(keys)
    base, times = keys.pop("base", name), keys.pop("times", {})
    method: Any = {}
    for below_it in base if isinstance(base, list) else [base]:
        if below_it == name:
            layer = for_tasks(read_method(name), tasks) if name in methods() else {}
        elif below_it in (SINGLE, TEACHER) or below_it in below or (below_it not in methods() and below_it not in own):
            names = ", ".join(n for n in {**methods(), **own} if n not in (SINGLE, TEACHER, name))
            raise UserError(f"method.{name}.base: expected one of {names}; found `{below_it}`")
        else:
            layer = _definition(below_it, own, tasks, (*below, name))
            layer = {"values": "own", **layer} if isinstance(layer, dict) else layer
        method = merge(method, layer)
    method = merge(method, keys)
    for path, factor in times.items():
        _multiply(name, method, path, factor)
    changes = times or keys.keys() - set(METHODS_ALONE)
    if "values" not in keys and changes and (method.get("values") or base != name):
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


def for_tasks(value: Any, tasks: Container[str]) -> Any:
    """A preset's values without the `weights` of tasks that the study lacks: presets name those of NYU-v2."""
    if isinstance(value, list):
        return [for_tasks(item, tasks) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: {task: weight for task, weight in item.items() if task in tasks}
        if key == "weights" and isinstance(item, dict)
        else for_tasks(item, tasks)
        for key, item in value.items()
    }


def merge(base: Any, change: Any) -> Any:
    """`change` laid over `base`, key by key; a class in place of another one takes none of its arguments."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    if "class_path" in change and change["class_path"] != base.get("class_path"):
        return change
    return {**base, **{key: merge(base.get(key), value) for key, value in change.items()}}
