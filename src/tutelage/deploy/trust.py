"""What of a file from anybody may be imported, called or read: nothing that is not ours or trusted by the caller."""

import importlib
import inspect
import re
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any

from tutelage import errors
from tutelage.errors import UserError
from tutelage.types import MultiTaskNet, Task

HOUSE: dict[Any, str] = {MultiTaskNet: "tutelage.nets", Task: "tutelage.tasks"}
_PRETRAINED = ("pretrained", "pretrained_backbone")
_WEIGHTS = re.compile(r"(\w+_)?(weights|checkpoint|ckpt)(_\w+)?")
_IN_CONFIG = re.compile(r"file|url|source|state_dict|hf_hub\w*")  # of timm's `pretrained_cfg`


def resolve(path: str, base: Any, trust: Collection[str], where: str) -> Any:
    """The class that a class path names, or a function or a class's method where no base is asked for.

    It is imported only where its path begins as one that is trusted does, or is in the room of ours that `base` has;
    and taken only where it was defined there, too: what one of these modules imported is not its own.

    Raises:
        ValueError: It is not trusted, not there, or no subclass of `base`.
    """
    house = [HOUSE[base]] if base in HOUSE else []
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", path):
        raise UserError(f"{where}: expected a class_path such as tutelage.nets.SegNet, found `{path[:80]}`")
    if not within(path, [*house, *trust]):
        known = f"a class of {house[0]}" if house else "plain values"
        raise UserError(
            f"{where}: expected {known}, found `{path[:80]}`, which is not imported, since a file may come from "
            f"anybody; where you trust it: trust=[{path.rpartition('.')[0][:80]!r}]"
        )
    try:
        found = _import(path)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{where}: expected a class, found no `{path}` ({line(error)})") from error
    if base is None:
        fits, kind = callable(found), "a class or function"
    else:
        fits = isinstance(found, type) and issubclass(found, base) and not inspect.isabstract(found)
        kind = f"a subclass of {base.__name__}"
    if not fits:
        raise UserError(f"{where}: expected {kind}, found {path}")
    home = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
    if path not in trust and not within(home, [*house, *trust]):
        raise UserError(
            f"{where}: expected {kind} under its own name, found {path}, which is {home}; where you "
            f"trust it: trust=[{path!r}]"
        )
    return found


def _import(path: str) -> Any:
    """module.name, or module.Class.name; no way leads through what a module has imported."""
    parts = path.split(".")
    try:
        return getattr(importlib.import_module(".".join(parts[:-1])), parts[-1])
    except ModuleNotFoundError as error:
        if len(parts) < 3 or error.name != ".".join(parts[:-1]):
            raise
    owner = getattr(importlib.import_module(".".join(parts[:-2])), parts[-2])
    if not isinstance(owner, type):
        raise AttributeError(f"`{parts[-2]}` is no class")
    return getattr(owner, parts[-1])


def within(path: str, prefixes: Collection[str]) -> bool:
    """Whether a dotted path is one of `prefixes`, or below one."""
    return any(path == prefix or path.startswith(f"{prefix}.") for prefix in prefixes)


def harmless(value: Any, trust: Collection[str] = (), where: str = "net", inside: str = "") -> Any:
    """A network's config without what would load other weights, from a file or from elsewhere.

    Args:
        value: The config, or a part of it.
        trust: As `build` has it.
        where: The part's keys, for messages.
        inside: The last of these keys that says what the part is: `init_args`, or `pretrained_cfg...`.

    Raises:
        ValueError: A name may say where a network itself is to be loaded from, and is not trusted.
    """
    if isinstance(value, str) and ":" in value and value not in trust:  # hf-hub:..., local-dir:..., https:...
        raise UserError(
            f"{where}: expected a name without `:`, found `{value[:80]}`, which may be read from elsewhere; where you "
            f"trust it: trust=[{value[:80]!r}]"
        )
    if isinstance(value, list | tuple):
        return [harmless(item, trust, where, inside) for item in value]
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
            kept[key] = harmless(
                item, trust, where if name == "init_args" else f"{where}.{name}", inside if in_config else name
            )
    return kept


def unloaded(kind: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with which `kind` loads no weights where a config is silent, too (torchvision's `weights_backbone`)."""
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):  # it has none to be seen
        return dict(arguments)
    silent: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if name in _PRETRAINED and isinstance(parameter.default, bool):
            silent[name] = False
        elif _WEIGHTS.fullmatch(name) and isinstance(parameter.default, str | Enum):
            silent[name] = None
    return {**arguments, **silent}


def line(error: Exception) -> str:
    """An error of a library in one line."""
    return printable(errors.one_line(error, 200))


def printable(text: str) -> str:
    """Without what a terminal would obey: texts of a file from anybody are shown there."""
    return "".join(c if c.isprintable() else " " for c in text)
