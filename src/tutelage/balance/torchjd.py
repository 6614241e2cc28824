"""torchjd's methods by name, built from what YAML can say."""

import copy
import difflib
import importlib
import inspect
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from tutelage.errors import UserError, one_line

_COUNTS = ("shape", "n_tasks")  # arguments that are the number of objectives


def make(
    module: ModuleType,
    base: type | tuple[type, ...],
    name: str,
    arguments: Mapping[str, Any],
    names: Sequence[str],
    device: torch.device,
    other_names: Collection[str] = (),
) -> Any:
    """A method of `torchjd.scalarization` or `torchjd.aggregation`, or any class of that kind by its import path.

    The number of objectives is filled in where a method asks for it. A value for every objective is given as {name:
    value}, as a list in the order of the objectives, or as one number for all of them; each becomes a tensor.

    Args:
        module: Of torchjd.
        base: What the class has to be.
        name: Of the class.
        arguments: Of its constructor.
        names: The objectives, in their order.
        device: Of its tensors, also of those that torchjd does not move.
        other_names: Objectives of another group, which {name: value} may name too.

    Raises:
        ValueError: If there is no such class, it does not take these arguments or this number of objectives, or its
            solvers are not installed.
    """
    cls = _find(module, base, name)
    signature = inspect.signature(cls).parameters
    parameters = {n: p for n, p in signature.items() if p.kind is not p.VAR_KEYWORD}
    arguments = {key: _inner(module, key, value, names, device, other_names) for key, value in arguments.items()}
    for key in arguments:
        if key not in parameters:
            accepted = ", ".join(n for n in parameters if n not in _COUNTS) or "none"
            raise UserError(f"balancer.arguments: expected arguments of {name} ({accepted}), found `{key}`")
    values: dict[str, Any] = {key: len(names) for key in _COUNTS if key in parameters}
    for key, value in arguments.items():
        annotation = str(parameters[key].annotation)
        is_one_number = isinstance(value, int | float) and "Tensor" in annotation and "float" not in annotation
        own_names = (
            names[1:] if cls.__name__.startswith("PCD") and key == "tau" else names
        )  # the first is the primary one
        values[key] = _tensor(
            f"{name}.{key}", [value] * len(own_names) if is_one_number else value, own_names, other_names
        )
    missing = [n for n, p in parameters.items() if p.default is p.empty and n not in values]
    if missing:
        raise UserError(
            f"balancer.arguments.{missing[0]}: expected a value, which {name} needs, found none; give it in the method"
        )
    values = {key: value.to(device) if isinstance(value, Tensor) else value for key, value in values.items()}
    try:
        return cls(**values).to(device)
    except ImportError as error:
        raise UserError(
            f"balancer.method: expected the solvers that {name} needs, found none; pip install 'tutelage[balancing]'"
        ) from error
    except (TypeError, ValueError) as error:
        raise UserError(
            f"balancer.arguments: expected what {name} takes, found a mistake: {one_line(error)}"
        ) from error


def _inner(
    module: ModuleType, key: str, value: Any, names: Sequence[str], device: torch.device, other_names: Collection[str]
) -> Any:
    """A weighting within another (CR-MOGM) or within an aggregator: its name, or {method: name, arguments: ...}."""
    if key not in ("weighting", "gramian_weighting"):
        return value
    inner = {"method": value} if isinstance(value, str) else value
    if not isinstance(inner, Mapping) or "method" not in inner or set(inner) - {"method", "arguments"}:
        raise UserError(
            f"balancer.arguments.{key}: expected the name of a weighting, or {{method: name, arguments: ...}}, found "
            f"{value!r}"
        )
    arguments: Mapping[str, Any] = inner.get("arguments") or {}  # type: ignore[assignment]  # of any YAML
    return make(module, module.Weighting, str(inner["method"]), arguments, names, device, other_names)


def _find(module: ModuleType, base: type | tuple[type, ...], name: str) -> Any:
    """The class of that name, or with that import path."""
    offered = [
        n for n in module.__all__ if isinstance(getattr(module, n), type) and issubclass(getattr(module, n), base)
    ]
    cls: Any = None
    if name in offered:
        cls = getattr(module, name)
    elif "." in name:
        path, _, last = name.rpartition(".")
        try:
            cls = getattr(importlib.import_module(path), last, None)
        except ImportError:
            cls = None
    if isinstance(cls, type) and issubclass(cls, base) and not inspect.isabstract(cls):
        return cls
    kind = " or ".join(b.__name__ for b in (base if isinstance(base, tuple) else (base,)))
    lower = {n.lower(): n for n in offered}
    near = [lower[n] for n in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.4)] or offered
    raise UserError(
        f"balancer.method: expected a {kind} of torchjd, for example {', '.join(near)}, or the import path of "
        f"one, found `{name}`"
    )


def _tensor(argument: str, value: Any, names: Sequence[str], other_names: Collection[str]) -> Any:
    """{name: number} and [number, ...] as a tensor; anything else as it is."""
    if isinstance(value, Mapping):
        if not set(names) <= set(value) <= {*names, *other_names}:
            keys = ", ".join(value) or "none"
            raise UserError(f"{argument}: expected a value for each of {', '.join(names)}, found {keys}")
        value = [value[name] for name in names]
    if isinstance(value, list | tuple):
        if len(value) != len(names):
            expected = f"{len(names)} values, one per task ({', '.join(names)})"
            raise UserError(f"{argument}: expected {expected}, found {len(value)}")
        try:
            return torch.tensor([float(x) for x in value])
        except (TypeError, ValueError) as error:
            raise UserError(f"{argument}: expected numbers, one per task, found {value!r}") from error
    return value


def verify(method: nn.Module, values: Tensor, name: str, tasks: int) -> None:
    """Run a copy of a method on some values, so that a method that fails is refused before training.

    Raises:
        ValueError: If it fails on them.
    """
    with torch.random.fork_rng([]), quiet_solvers():
        try:
            copy.deepcopy(method)(values)
        except Exception as error:  # any method's and any solver's
            raise UserError(
                f"balancer.method: expected a method for {tasks} tasks with arguments that it takes, found `{name}`: "
                f"{type(error).__name__}: {one_line(error)}"
            ) from error


@contextmanager
def quiet_solvers() -> Iterator[None]:
    """Silence the warning of Nash-MTL's solver at its first step that later ones will be no faster."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are solving a parameterized problem that is not DPP", UserWarning)
        yield
