"""torchjd's methods by name, built from what YAML can say."""

import copy
import difflib
import importlib
import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from tutelage.errors import UserError, one_line

_COUNTS = ("shape", "n_tasks")  # arguments that are the number of tasks


def make(
    module: ModuleType,
    base: type | tuple[type, ...],
    name: str,
    arguments: Mapping[str, Any],
    tasks: Sequence[str],
    device: torch.device,
) -> Any:
    """A method of `torchjd.scalarization` or `torchjd.aggregation`, or any class of that kind by its import path.

    The number of tasks is filled in where a method asks for it. A value for every task is given as {task: value}, as
    a list in the order of the tasks, or as one number for all of them; each becomes a tensor.

    Args:
        module: of torchjd.
        base: what the class has to be.
        name: of the class.
        arguments: of its constructor.
        tasks: in their order.
        device: of its tensors, also of those that torchjd does not move.

    Raises:
        ValueError: there is no such class, or it does not take these arguments or this number of tasks.
    """
    cls = _find(module, base, name)
    taken = {n: p for n, p in inspect.signature(cls).parameters.items() if p.kind is not p.VAR_KEYWORD}
    arguments = {key: _inner(module, key, value, tasks, device) for key, value in arguments.items()}
    for key in arguments:
        if key not in taken:
            known = ", ".join(n for n in taken if n not in _COUNTS) or "none"
            raise UserError(f"balancer.arguments: expected arguments of {name} ({known}), found `{key}`")
    values: dict[str, Any] = {key: len(tasks) for key in _COUNTS if key in taken}
    for key, value in arguments.items():
        kinds = str(taken[key].annotation)
        every = isinstance(value, int | float) and "Tensor" in kinds and "float" not in kinds
        own = tasks[1:] if cls.__name__.startswith("PCD") and key == "tau" else tasks  # the first is the primary one
        values[key] = _tensor(f"{name}.{key}", [value] * len(own) if every else value, own)
    missing = [n for n, p in taken.items() if p.default is p.empty and n not in values]
    if missing:
        raise UserError(
            f"balancer.arguments.{missing[0]}: expected a value, which {name} needs, found none; give it in the method"
        )
    values = {key: value.to(device) if isinstance(value, Tensor) else value for key, value in values.items()}
    try:
        return cls(**values).to(device)
    except (TypeError, ValueError, ImportError) as error:
        raise UserError(
            f"balancer.arguments: expected what {name} takes, found a mistake: {one_line(error)}"
        ) from error


def _inner(module: ModuleType, key: str, value: Any, tasks: Sequence[str], device: torch.device) -> Any:
    """A weighting within another (CR-MOGM) or within an aggregator: its name, or {method: name, arguments: ...}."""
    if key not in ("weighting", "gramian_weighting"):
        return value
    named = {"method": value} if isinstance(value, str) else value
    if not isinstance(named, Mapping) or "method" not in named or set(named) - {"method", "arguments"}:
        raise UserError(
            f"balancer.arguments.{key}: expected the name of a weighting, or {{method: name, arguments: ...}}, found "
            f"{value!r}"
        )
    inner: Mapping[str, Any] = named.get("arguments") or {}  # type: ignore[assignment]  # of any YAML
    return make(module, module.Weighting, str(named["method"]), inner, tasks, device)


def _find(module: ModuleType, base: type | tuple[type, ...], name: str) -> Any:
    known = [n for n in module.__all__ if isinstance(getattr(module, n), type) and issubclass(getattr(module, n), base)]
    cls: Any = None
    if name in known:
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
    lower = {n.lower(): n for n in known}
    near = [lower[n] for n in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.4)] or known
    raise UserError(
        f"balancer.method: expected a {kind} of torchjd, for example {', '.join(near)}, or the import path of "
        f"one, found `{name}`"
    )


def _tensor(name: str, value: Any, tasks: Sequence[str]) -> Any:
    """{task: number} and [number, ...] as a tensor; anything else as it is."""
    if isinstance(value, Mapping):
        if set(value) != set(tasks):
            found = ", ".join(value) or "none"
            raise UserError(f"{name}: expected a value for each of {', '.join(tasks)}, found {found}")
        value = [value[t] for t in tasks]
    if isinstance(value, list | tuple):
        if len(value) != len(tasks):
            named = ", ".join(tasks)
            raise UserError(f"{name}: expected {len(tasks)} values, one a task ({named}), found {len(value)}")
        try:
            return torch.tensor([float(x) for x in value])
        except (TypeError, ValueError) as error:
            raise UserError(f"{name}: expected numbers, one a task, found {value!r}") from error
    return value


def attempt(made: nn.Module, values: Tensor, name: str, tasks: int) -> None:
    """Let a copy of a method see some values, so that what it cannot do is known before training.

    Raises:
        ValueError: it fails on them.
    """
    with torch.random.fork_rng([]), quiet_solvers():
        try:
            copy.deepcopy(made)(values)
        except Exception as error:  # of any method and solver
            raise UserError(
                f"balancer.method: expected a method for {tasks} tasks with arguments that it takes, found `{name}`: "
                f"{type(error).__name__}: {one_line(error)}"
            ) from error


@contextmanager
def quiet_solvers() -> Iterator[None]:
    """Nash-MTL's solver warns at its first step that later ones will be no faster: nobody here can change that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are solving a parameterized problem that is not DPP", UserWarning)
        yield
