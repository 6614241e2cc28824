"""How large what a file describes may be: no larger than the tensors in the file."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from threading import get_ident
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from torch import Tensor, nn
from torch.nn.modules import module as registration

from tutelage.errors import UserError

_DEEPEST = 32  # mappings and lists inside each other
_LARGEST_INTEGER = 2**20  # classes, channels, blocks: none is near it
_LARGEST = 1e15
# Encoders are built more than once, and with parts that are thrown away, such as their classifiers: up to 11 parts per
# tensor that is kept, and 7 * 10^8 numbers (VGG).
_SPARE_PARTS, _PARTS_PER_TENSOR = 500, 15
_SPARE_NUMBERS, _NUMBERS_PER_NUMBER = 2**30, 10

_PLAIN = (str, Path, int, float, bool, NoneType)


def check_depth(config: Any, where: str) -> None:
    """Raise a UserError if mappings and lists are nested deeper than any network's.

    Args:
        config: Plain values.
        where: Their key, for the message.
    """
    level = [config]
    for _ in range(_DEEPEST):
        level = [y for x in level for y in (x.values() if isinstance(x, Mapping) else x if _is_list(x) else ())]
        if not level:
            return
    raise UserError(f"{where}: expected at most {_DEEPEST} levels of keys and lists, found more; simplify it")


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def check_value(value: Any, hint: Any, where: str) -> None:
    """Raise a UserError if a plain value is none that an annotation asks for, or a number too large for a network.

    Args:
        value: A value of JSON.
        hint: The annotation. What it says of objects and functions is not checked.
        where: The key of the value, for the message.
    """
    if not _fits(value, hint):
        name = inspect.formatannotation(hint).replace("collections.abc.", "").replace("typing.", "")
        raise UserError(f"{where}: expected {name}, found {value!r:.80}")
    largest = _LARGEST_INTEGER if type(value) is int and float not in members(hint) else _LARGEST
    if type(value) in (int, float) and not abs(value) <= largest:
        raise UserError(f"{where}: expected a number of at most {largest:,.0f}, found {str(value)[:40]}")


def members(hint: Any) -> tuple[Any, ...]:
    """The annotations that a union allows; any other is alone."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _fits(value: Any, hint: Any) -> bool:
    return any(_fits_one(value, member) for member in members(hint))


def _fits_one(value: Any, hint: Any) -> bool:
    origin = get_origin(hint) or hint
    if origin is Literal:
        return any(value == x and type(value) is type(x) for x in get_args(hint))
    if origin is float:
        return type(value) in (int, float) and isfinite(value)
    if origin in _PLAIN:
        return type(value) is (str if origin is Path else origin)
    if not isinstance(origin, type) or origin is object:
        return True
    inner = get_args(hint)
    if issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(_fits(x, inner[1]) for x in value.values() if len(inner) == 2)
    if issubclass(list, origin) or origin is tuple:  # list, Sequence, Collection, Iterable
        if not _is_list(value):
            return False
        if origin is tuple and inner and inner[-1] is not ...:
            return len(value) == len(inner) and all(map(_fits, value, inner))
        return not inner or all(_fits(x, inner[0]) for x in value)
    return True


@contextmanager
def no_larger_than(tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Raise a UserError from a block that builds a network of more parts or numbers than could fill these tensors.

    Parts are counted as they are put into a module, so that a loop over a billion of them ends early.

    Args:
        tensors: The state_dict that the network is to have.
    """
    file_numbers = sum(x.numel() for x in tensors.values())
    most_parts = _SPARE_PARTS + _PARTS_PER_TENSOR * len(tensors)
    most_numbers = _SPARE_NUMBERS + _NUMBERS_PER_NUMBER * file_numbers
    parts, numbers, thread = 0, 0, get_ident()

    def count(module: nn.Module, name: str, part: object) -> None:
        nonlocal parts, numbers
        if get_ident() != thread:  # the hooks are those of all threads
            return
        parts += 1
        numbers += part.numel() if isinstance(part, Tensor) else 0
        if parts > most_parts or numbers > most_numbers:
            what = f"{numbers:,} numbers" if numbers > most_numbers else f"{parts:,} parts"
            raise UserError(
                f"expected a network that {len(tensors)} tensors with {file_numbers:,} numbers fill, found one of "
                f"more than {what}, with `{name}` of {type(module).__name__}"
            )

    hooks = [
        registration.register_module_parameter_registration_hook(count),
        registration.register_module_buffer_registration_hook(count),
        registration.register_module_module_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
