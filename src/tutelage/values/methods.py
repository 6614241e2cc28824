"""How the definition of a method comes about: presets, the study's own keys, and methods that build on others."""

from collections.abc import Container, Mapping
from typing import Any

from tutelage.errors import UserError, cut, did_you_mean
from tutelage.layout import SINGLE, TEACHER, TEACHERS
from tutelage.values.plain import merge
from tutelage.values.presets import method_names, read_method
from tutelage.values.teachers import taught_by, teacher_specs

DESCRIPTIVE = ("about", "values", "search")  # keys of a method that cannot change a result
DEFAULT_METHODS = (SINGLE, "uniform", "uncertainty", "kd4mtl", "url")


def definitions(values: dict[str, Any], selected: list[str]) -> dict[str, Any]:
    """The definitions of the selected methods, presets' or the study's own; the study's own keys win.

    Raises:
        UserError: a name is neither a preset's nor the study's.
    """
    own = values.get("method") or {}
    if not isinstance(own, dict):
        raise UserError(f"method: expected names and values of methods, found `{cut(own)}`")
    for name in selected:
        if name in (TEACHER, TEACHERS) or (name != SINGLE and name not in own and name not in method_names()):
            names = dict.fromkeys([*method_names(), *own])
            raise UserError(
                f"methods: expected names among {', '.join(names)}; found `{cut(name)}`{did_you_mean(name, names)}"
            )
    defined = {name: _definition(name, own, values) for name in selected if name != SINGLE}
    for name in (name for name in (SINGLE, TEACHER) if name in own):
        keys = own[name]
        # A value that is no mapping is refused when the study is parsed.
        defined[name] = {"values": _of_networks(keys), **keys} if isinstance(keys, dict) else keys
    return defined


def with_those_that_teach(
    values: dict[str, Any], selected: list[str], given: Mapping[str, Any] | None = None
) -> list[str]:
    """The selected methods, and before each of them those whose students teach it, as far as there are such methods.

    Args:
        values: of the study.
        selected: the methods that it names.
        given: method -> what a flag gives as its `taught_by`.

    Raises:
        UserError: a name is neither a preset's nor the study's.
    """
    definitions(values, selected)  # which refuses what is no method
    known, found = {*method_names(), *(values.get("method") or {})} - {SINGLE, TEACHER, TEACHERS}, dict[str, None]()

    def add(name: str, above: tuple[str, ...]) -> None:
        method = definitions(values, [name]).get(name)
        before = method.get("taught_by") if isinstance(method, dict) else None
        for teaching in _names(f"method.{name}.taught_by", (given or {}).get(name, before)):
            if teaching in known and teaching not in (*selected, *above, *found):
                add(teaching, (*above, name))
        found[name] = None

    for name in selected:
        add(name, ())
    return list(found)


def _names(key: str, value: Any) -> list[str]:
    """The names in a `taught_by`."""
    if value is not None and not all(isinstance(name, str) for name in (value if isinstance(value, list) else [value])):
        raise UserError(f"{key}: expected the name of a method, or several in a list, found `{cut(value)}`")
    return taught_by(value)


def _of_networks(keys: dict[str, Any]) -> str:
    """Where the values of single-task networks or teachers come from."""
    return "changed" if keys.get("lr") or keys.get("budget", "student") != "student" else "study"


def _definition(name: str, own: dict[str, Any], values: dict[str, Any], above: tuple[str, ...] = ()) -> Any:
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
    if not isinstance(times, dict):
        raise UserError(f"method.{name}.times: expected paths of numbers and factors, found {times!r}")
    for lower in base if isinstance(base, list) else [base]:
        if not isinstance(lower, str):
            raise UserError(f"method.{name}.base: expected the name of a method, or a list of names, found {lower!r}")
        if lower == name:
            layer = _preset(name, own, values, above) if name in method_names() else {}
        elif lower in (SINGLE, TEACHER) or lower in above or (lower not in method_names() and lower not in own):
            names = [n for n in dict.fromkeys([*method_names(), *own]) if n not in (SINGLE, TEACHER, name)]
            raise UserError(
                f"method.{name}.base: expected one of {', '.join(names)}; found `{lower}`{did_you_mean(lower, names)}"
            )
        else:
            layer = {"values": "own", **_base(lower, own, values, (*above, name))}
        method = merge(method, layer)
    method = merge(method, keys)
    for path, factor in times.items():
        _multiply(name, method, path, factor)
    changes = times or keys.keys() - set(DESCRIPTIVE)
    if "values" not in keys and changes and (method.get("values") or base != name):
        method["values"] = "changed" if base == name else "own"
    return method


def _preset(name: str, own: dict[str, Any], values: dict[str, Any], above: tuple[str, ...]) -> Any:
    """A preset's values, laid over those of the study's method of the name that it gives as `base`."""
    keys = for_study(read_method(name), values)
    base = keys.pop("base", None)
    return keys if base is None else merge(_base(base, own, values, (*above, name)), keys)


def _base(name: str, own: dict[str, Any], values: dict[str, Any], above: tuple[str, ...]) -> dict[str, Any]:
    """A method that another one builds on."""
    method = _definition(name, own, values, above)
    if not isinstance(method, dict):
        raise UserError(f"method.{name}: expected keys and values of a method, found `{cut(method)}`")
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


def for_study(value: Any, values: dict[str, Any]) -> Any:
    """A preset's values without the `weights` of names that a study lacks: presets name the tasks of NYU-v2.

    The weights of a distiller are by teacher, all others by task.
    """
    tasks, teachers = values.get("tasks"), values.get("teachers")
    tasks = tasks if isinstance(tasks, dict) else {}
    entries = list(teachers.values()) if isinstance(teachers, dict) else []
    # What is no teacher is refused when the study is parsed.
    sound = all(isinstance(keys.get("tasks") or [], list) for keys in entries if isinstance(keys, dict))
    return with_names(value, tasks, teacher_specs(values) if entries and sound and tasks else tasks)


def with_names(value: Any, names: Container[str], teachers: Container[str]) -> Any:
    """Plain values without the `weights` of other names: of a distiller those of teachers, elsewhere those of tasks."""
    if isinstance(value, list):
        return [with_names(item, names, teachers) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        if key == "weights" and isinstance(item, dict):
            kept[key] = {name: weight for name, weight in item.items() if name in names}
        else:
            kept[key] = with_names(item, teachers if key == "distiller" else names, teachers)
    return kept
