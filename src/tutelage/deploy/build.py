"""From a config that anybody may have written to a predictor.

jsonargparse, which builds studies, imports whatever a string names where an annotation asks for a function or a class.
That is right for a study of one's own and wrong for a file from anybody. Here only class paths are imported, and only
those that `trust.resolve` allows.
"""

import inspect
from collections import abc
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch

from tutelage.deploy.limits import check_depth, check_value, members
from tutelage.deploy.predictor import Predictor, check_names
from tutelage.deploy.trust import PACKAGES, resolve, within, without_default_weights, without_weights
from tutelage.errors import UserError, one_line
from tutelage.images import Size
from tutelage.pictures import check_pixels
from tutelage.types import MultiTaskNet, Task

_MAPS = (dict, abc.Mapping)
_LISTS = (list, tuple, abc.Sequence, abc.Collection, abc.Iterable)
_PLAIN = (str, int, float, bool, NoneType, Path, Any, Literal, *_MAPS, *_LISTS)


def build(config: Mapping[str, Any], trust: Collection[str] = ()) -> Predictor:
    """The predictor of a config, with untrained weights.

    The tasks give the widths of the heads. Arguments that load other weights (`pretrained`, files) are left out.

    Args:
        config: {net: {class_path, init_args}, tasks: {name: the same}, size: [H, W] or None}: plain values, as JSON
            holds them.
        trust: Beginnings of class paths, up to a dot, that may be imported and called besides `tutelage.nets` and
            `tutelage.tasks`; and full names of networks elsewhere, such as `hf-hub:timm/resnet50.a1_in1k`.

    Raises:
        ValueError: The config is wrong, or names what is not trusted; one line.
    """
    trust = [trust] if isinstance(trust, str) else list(trust)
    check_depth(config.get("net"), "net")
    tasks = build_tasks(config.get("tasks"), trust)
    size = _size(config.get("size"))
    plain = without_weights(config.get("net"), trust)
    with torch.random.fork_rng(devices=[]):  # these random weights are replaced, and must not move the caller's seed
        net = _object(plain, MultiTaskNet, ({name: task.width for name, task in tasks.items()},), trust, "net")
    size_config = None if size is None else list(size)
    return Predictor(net, tasks, size, {"net": plain, "tasks": dict(config["tasks"]), "size": size_config})


def build_tasks(values: Any, trust: Collection[str] = ()) -> dict[str, Task]:
    """Tasks by name, of plain values that anybody may have written; see `build`."""
    trust = [trust] if isinstance(trust, str) else list(trust)
    if not isinstance(values, Mapping):
        raise UserError(f"tasks: expected names and classes, found {type(values).__name__}")
    check_depth(values, "tasks")
    names = {str(name): value for name, value in values.items()}
    check_names(names)
    return {name: _object(value, Task, (), trust, f"tasks.{name}") for name, value in names.items()}


def _object(value: Any, base: Any, first: tuple[Any, ...], trust: list[str], where: str) -> Any:
    path, arguments = _split(value, where)
    return _call(resolve(path, base, trust, where), first, arguments, trust, where)


def _split(value: Any, where: str) -> tuple[str, dict[str, Any]]:
    """The class path and the arguments of a config of an object."""
    if isinstance(value, Mapping) and isinstance(value.get("class_path"), str):
        arguments = value.get("init_args") or {}
        if isinstance(arguments, Mapping):
            return value["class_path"], dict(arguments)
    raise UserError(f"{where}: expected class_path and init_args, found {str(value)[:80]}")


def _call(kind: Any, first: tuple[Any, ...], values: dict[str, Any], trust: list[str], where: str) -> Any:
    hints = _hints(kind)
    arguments = {str(key): _value(x, hints.get(key, Any), trust, f"{where}.{key}") for key, x in values.items()}
    name = getattr(kind, "__name__", str(kind))
    try:
        with suppress(ValueError):  # of a function of C, nothing is known
            inspect.signature(kind).bind(*first, **arguments)
    except TypeError as error:
        raise UserError(f"{where}: expected arguments of {name} that fit, found {one_line(error)}") from None
    try:
        return kind(*first, **without_default_weights(kind, arguments))
    except Exception as error:  # whatever a class raises when it is built
        raise UserError(f"{where}: expected arguments of {name} that fit ({one_line(error)})") from error


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return get_type_hints(inspect.getattr_static(kind, "__init__") if isinstance(kind, type) else kind)
    except Exception:  # names that exist for a type checker only
        if within(kind.__module__, list(PACKAGES.values())):
            raise
        return {}


def _value(value: Any, hint: Any, trust: list[str], where: str) -> Any:
    """A value of JSON as its annotation asks for it: tuples, data classes, objects, and functions that build objects.

    Where an object is allowed, as in `TappedModule.module`, a string is read as the path of one.
    """
    check_value(value, hint, where)
    allowed = members(hint)
    origins = [get_origin(member) or member for member in allowed]
    classes = [m for m in allowed if is_dataclass(m) and within(m.__module__, [*PACKAGES.values(), *trust])]
    if isinstance(value, str) and any(origin not in (*_PLAIN, *classes) for origin in origins):
        target = resolve(value, None, trust, where)
        if any(origin in _MAPS for origin in origins):  # the class that receives it resolves it again
            return {"class_path": value, "init_args": without_default_weights(target, {})}
        return value if str in origins else target
    if isinstance(value, Mapping) and "class_path" in value:
        path, arguments = _split(value, where)
        kind = resolve(path, None, trust, where)
        if any(origin in _MAPS for origin in origins):
            return {**value, "init_args": without_default_weights(kind, arguments)}
        if abc.Callable in origins:
            return lambda *first: _call(kind, first, arguments, trust, where)
        return _call(kind, (), arguments, trust, where)
    if isinstance(value, Mapping):
        if classes and not any(origin in _MAPS for origin in origins):
            return _call(classes[0], (), dict(value), trust, where)
        inner = next((get_args(m)[-1] for m in allowed if get_origin(m) in _MAPS), Any)
        return {key: _value(item, inner, trust, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        inner = next((get_args(m)[0] for m in allowed if get_origin(m) in _LISTS), Any)
        items = [_value(item, inner, trust, where) for item in value]
        return tuple(items) if tuple in origins and list not in origins else items
    return value


def _size(value: Any) -> Size | None:
    if value is None:
        return None
    if isinstance(value, list | tuple) and len(value) == 2 and all(type(x) is int and x > 0 for x in value):
        check_pixels(value[1], value[0], "size")
        return value[0], value[1]
    raise UserError(f"size: expected height and width of at least 1, or null, found {str(value)[:80]}")
