"""What a file from anybody may import, call or read: only our own classes, and what the caller trusts."""

import importlib
import inspect
import re
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any

from tutelage.errors import UserError, one_line
from tutelage.types import MultiTaskNet, Task

PACKAGES: dict[Any, str] = {MultiTaskNet: "tutelage.nets", Task: "tutelage.tasks"}  # base class -> where ours are
_PRETRAINED = ("pretrained", "pretrained_backbone")
_WEIGHTS = re.compile(r"(\w+_)?(weights|checkpoint|ckpt)(_\w+)?")
_IN_CONFIG = re.compile(r"file|url|source|state_dict|hf_hub\w*")  # of timm's `pretrained_cfg`


def resolve(path: str, base: Any, trust: Collection[str], where: str) -> Any:
    """The class that a class path names; without a `base` also a function, or a method of a class.

    It is imported only where its path is trusted or is in our package of this `base`. It must also have been defined
    there: what such a module has imported from elsewhere is refused.

    Args:
        path: The class path.
        base: The base class of what is expected; None: anything that can be called.
        trust: Beginnings of class paths, as `build` takes them.
        where: The key of the path, for messages.

    Raises:
        ValueError: The class is not trusted, does not exist, or is no subclass of `base`.
    """
    packages = [PACKAGES[base]] if base in PACKAGES else []
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", path):
        raise UserError(f"{where}: expected a class_path such as tutelage.nets.SegNet, found `{path[:80]}`")
    if not within(path, [*packages, *trust]):
        expected = f"a class of {packages[0]}" if packages else "plain values"
        raise UserError(
            f"{where}: expected {expected}, found `{path[:80]}`, which is not imported, since a file may come from "
            f"anybody; if you trust it: {_trusting(path.rpartition('.')[0])}"
        )
    try:
        target = _import(path)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{where}: expected a class, found no `{path}` ({one_line(error)})") from error
    if base is None:
        fits, kind = callable(target), "a class or function"
    else:
        fits = isinstance(target, type) and issubclass(target, base) and not inspect.isabstract(target)
        kind = f"a subclass of {base.__name__}"
    if not fits:
        raise UserError(f"{where}: expected {kind}, found {path}")
    origin = f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', '')}"
    if path not in trust and not within(origin, [*packages, *trust]):
        raise UserError(
            f"{where}: expected {kind} under its own name, found {path}, which is {origin}; if you trust it: "
            f"{_trusting(path)}"
        )
    return target


def _trusting(name: str) -> str:
    return f"trust=[{name[:80]!r}], or --trust {name[:80]}"


def _import(path: str) -> Any:
    """The object of `module.name` or `module.Class.name`. No other attribute of a module is followed."""
    parts = path.split(".")
    try:
        return getattr(importlib.import_module(".".join(parts[:-1])), parts[-1])
    except ModuleNotFoundError as error:
        if len(parts) < 3 or error.name != ".".join(parts[:-1]):
            raise
    owner = getattr(importlib.import_module(".".join(parts[:-2])), parts[-2])
    if not isinstance(owner, type):
        raise ImportError(f"`{parts[-2]}` is no class")
    return getattr(owner, parts[-1])


def within(path: str, prefixes: Collection[str]) -> bool:
    """Whether a dotted path is one of `prefixes`, or below one."""
    return any(path == prefix or path.startswith(f"{prefix}.") for prefix in prefixes)


def without_weights(value: Any, trust: Collection[str] = (), where: str = "net", inside: str = "") -> Any:
    """A network's config without the arguments that load weights from a file or from elsewhere.

    Args:
        value: The config, or a part of it.
        trust: Beginnings of class paths and full names of networks, as `build` takes them.
        where: The keys of the part, for messages.
        inside: The last of these keys that says what the part is: `init_args`, or `pretrained_cfg...`.

    Raises:
        ValueError: A name can say where a network itself is loaded from (`hf-hub:...`), and is not trusted.
    """
    if isinstance(value, str) and ":" in value and value not in trust:  # hf-hub:..., local-dir:..., https:...
        raise UserError(
            f"{where}: expected a name without `:`, found `{value[:80]}`, which may be loaded from elsewhere; if you "
            f"trust it: {_trusting(value)}"
        )
    if isinstance(value, list | tuple):
        return [without_weights(item, trust, where, inside) for item in value]
    if not isinstance(value, Mapping):
        return value
    kept: dict[Any, Any] = {}
    in_config = inside.startswith("pretrained_cfg")
    for key, item in value.items():
        name = str(key)
        if name in _PRETRAINED:
            if inside == "init_args" and isinstance(item, bool):
                kept[key] = False
        elif isinstance(item, str) and _WEIGHTS.fullmatch(name):
            if inside == "init_args":
                kept[key] = None
        elif name != "cache_dir" and not (in_config and _IN_CONFIG.fullmatch(name)):
            kept[key] = without_weights(
                item, trust, where if name == "init_args" else f"{where}.{name}", inside if in_config else name
            )
    return kept


def without_default_weights(kind: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with which `kind` loads no weights where its defaults would (torchvision's `weights_backbone`)."""
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):  # a class of C code may have no signature
        return dict(arguments)
    disabled: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if name in _PRETRAINED and isinstance(parameter.default, bool):
            disabled[name] = False
        elif _WEIGHTS.fullmatch(name) and isinstance(parameter.default, str | Enum):
            disabled[name] = None
    return {**arguments, **disabled}
