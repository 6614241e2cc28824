"""Objects that remember how they were built, and the plain values with which a study file says the same."""

import inspect
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache, partial
from numbers import Number
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, NamedTuple, Self, Union, get_args, get_origin

from tutelage.errors import UserError, one_line


class Recorded:
    """Remembers the arguments that an object was built with.

    Those that the class declares as `Literal` are compared with it: a word that is misspelt would take some branch.

    Attributes:
        supplied: what a study itself passes as the first arguments of the class; (): nothing. Of such a class a study
            takes what builds an object, not an object.
    """

    supplied: ClassVar[tuple[str, ...]] = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Build an object, and remember the arguments."""
        if cls.__init__ is object.__init__ and (args or kwargs):
            raise TypeError(f"{cls.__name__}() takes no arguments")  # as without this method
        names, choices = _choices(cls)  # type: ignore[arg-type]  # a class is hashable
        for name, value in (*zip(names, args, strict=False), *kwargs.items()):
            if name in choices:
                choices[name].check(f"{cls.__name__}.{name}", value)
        self = super().__new__(cls)
        object.__setattr__(self, "_arguments", (args, kwargs))  # a module refuses attributes before its __init__
        return self


class _Choice(NamedTuple):
    """What an argument declared as `Literal` may be; a string alone is refused where other types are declared, too."""

    values: tuple[Any, ...]
    closed: bool

    def check(self, key: str, value: Any) -> None:
        known = any(value is x or (isinstance(value, str | Number) and value == x) for x in self.values)
        if not known and (self.closed or isinstance(value, str)):
            words, found = ", ".join(str(x) for x in self.values), type(value).__name__
            raise UserError(
                f"{key}: expected one of {words}, found {f'`{value}`' if isinstance(value, str | Number) else found}; "
                "correct it"
            )


@cache
def _choices(kind: type[Any]) -> tuple[list[str], dict[str, _Choice]]:
    """The names of a class's arguments by position, and what those declared as `Literal` may be."""
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    found = {p.name: choice for p in parameters if (choice := _choice(p.annotation)) is not None}
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)], found


def _choice(hint: Any) -> _Choice | None:
    values, others = list[Any](), list[Any]()
    for member in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
        if get_origin(member) is Literal:
            values += get_args(member)
        elif member is not NoneType:
            others.append(member)
    if not values or any(not isinstance(m, type) or issubclass(str, m) for m in others):  # which may take any string
        return None
    return _Choice((*values, None) if NoneType in get_args(hint) else tuple(values), not others)


def plain(value: Any, key: str) -> Any:
    """The plain values of an object, as a study file holds them: {class_path: ..., init_args: ...}.

    Args:
        value: plain values; an object of a class of tutelage, or of one that derives from these; a class or a function;
            `functools.partial` of one; or containers and data classes of all these.
        key: where it stands, for messages.

    Raises:
        UserError: another program could not build it again.
    """
    if value is None or isinstance(value, bool) or type(value) in (int, float, str):
        return value
    if hasattr(value, "tolist") and not getattr(value, "shape", None):  # a number of numpy
        return value.tolist()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {name if type(name) is int else str(name): plain(item, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item, f"{key}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, partial):
        return _call(value.func, value.args, value.keywords, key)
    if isinstance(value, type) or inspect.isroutine(value):
        return _path(value, key)
    if isinstance(value, Recorded):
        args, keywords = vars(value)["_arguments"]
        if value.supplied:
            _refuse_built(value, keywords, key)
        return _call(type(value), args, keywords, key)
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name), f"{key}.{f.name}") for f in fields(value) if f.init}
    kind = type(value)
    remedy = "what builds it, functools.partial of a class or a function, or the file that holds it"
    raise UserError(
        f"{key}: expected plain values or an object that can be built again, in every run and process, found one of "
        f"{kind.__module__}.{kind.__qualname__}; give {'its tolist()' if hasattr(value, 'tolist') else remedy}"
    )


def built_by(value: Recorded, key: str) -> Any:
    """The plain values of what built an object, without the arguments that a study supplies.

    Args:
        value: an object of a class with `supplied` arguments.
        key: where it stands, for messages.

    Raises:
        UserError: another program could not build it again.
    """
    args, keywords = vars(value)["_arguments"]
    bound = inspect.signature(type(value)).bind_partial(*args, **keywords).arguments
    return _call(type(value), (), {k: v for k, v in bound.items() if k not in value.supplied}, key)


def _refuse_built(value: Recorded, keywords: Mapping[str, Any], key: str) -> None:
    name = type(value).__qualname__
    words = ", ".join([name, *(f"{k}={v!r}" for k, v in keywords.items() if k not in value.supplied)])
    remedy = f"functools.partial({words})" if "," in words else f"the class {name}"
    raise UserError(
        f"{key}: expected what builds a {name} of {', '.join(value.supplied)}, since every run builds its own, found "
        f"one that is built already; give {remedy}"
    )


def _call(kind: Any, args: tuple[Any, ...], keywords: Mapping[str, Any], key: str) -> Any:
    """What calls a class or a function with these arguments."""
    path, arguments = _path(kind, key), {}
    if args or keywords:
        try:
            arguments = _by_name(kind, args, keywords)
        except (TypeError, ValueError) as error:  # arguments that do not fit; no signature
            raise UserError(f"{key}: expected arguments of {path} by their names, found {one_line(error)}") from error
    arguments = {name: plain(item, f"{key}.{name}") for name, item in arguments.items()}
    return {"class_path": path, "init_args": arguments} if arguments else {"class_path": path}


def _by_name(kind: Any, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> dict[str, Any]:
    if not args:
        return dict(keywords)
    if getattr(kind, "supplied", ()):
        raise TypeError(f"{len(args)} without a name, which stand where a study passes {', '.join(kind.supplied)}")
    signature = inspect.signature(kind)
    bound = signature.bind_partial(*args, **keywords).arguments
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL and parameter.name in bound:
            raise TypeError(f"{len(bound[parameter.name])} without a name for *{parameter.name}")
        if parameter.kind is parameter.VAR_KEYWORD:
            bound |= bound.pop(parameter.name, {})
    return bound


def _path(thing: Any, key: str) -> str:
    """The import path of a class or a function: the shortest under which its package has it."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
    owner = getattr(thing, "__self__", None)
    if isinstance(owner, type):  # a classmethod
        module, name = owner.__module__, f"{owner.__qualname__}.{name.rsplit('.', 1)[-1]}"
    packages = str(module).split(".")
    for end in range(1, len(packages) + 1):
        prefix = ".".join(packages[:end])
        if module and _found(prefix, name) == thing:
            return f"{prefix}.{name}"
    raise UserError(
        f"{key}: expected a class or a function that a study file can name, found {module}.{name}; define it at the "
        "top of a module"
    )


def _found(module: str, name: str) -> Any:
    found: Any = sys.modules.get(module)
    for word in name.split("."):
        found = getattr(found, word, None)
    return found
