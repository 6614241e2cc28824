"""torchjd's methods by name: built from what YAML can say, and saved whole."""

import difflib
import importlib
import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_ON_CPU = ("_phi_t", "_sq_norm_ema", "_n_steps")  # of GradVac and PCD, which compute there wherever the gradients are
_SUM_TO_1 = {"ExcessMTLWeighting": "_weights", "MoDoWeighting": "_lambda", "SDMGradWeighting": "_w"}
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

    The number of tasks is filled in where a method asks for it. A value for every task is given as {task: value}, or
    as a list in the order of the tasks; both become a tensor.

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
            raise ValueError(f"balancer.arguments: expected arguments of {name} ({known}), found `{key}`")
    values: dict[str, Any] = {key: len(tasks) for key in _COUNTS if key in taken}
    values |= {key: _tensor(f"{name}.{key}", value, tasks) for key, value in arguments.items()}
    missing = [n for n, p in taken.items() if p.default is p.empty and n not in values]
    if missing:
        raise ValueError(
            f"balancer.arguments.{missing[0]}: expected a value, which {name} needs, found none; give it in the method"
        )
    values = {key: value.to(device) if isinstance(value, Tensor) else value for key, value in values.items()}
    try:
        return cls(**values).to(device)
    except (TypeError, ValueError, ImportError) as error:
        problem = " ".join(str(error).split())
        raise ValueError(f"balancer.arguments: expected what {name} takes, found a mistake: {problem}") from error


def _inner(module: ModuleType, key: str, value: Any, tasks: Sequence[str], device: torch.device) -> Any:
    """A weighting within another (CR-MOGM) or within an aggregator: its name, or {method: name, arguments: ...}."""
    if key not in ("weighting", "gramian_weighting"):
        return value
    named = {"method": value} if isinstance(value, str) else value
    if not isinstance(named, Mapping) or "method" not in named or set(named) - {"method", "arguments"}:
        raise ValueError(
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
    raise ValueError(
        f"balancer.method: expected a {kind} of torchjd, for example {', '.join(near)}, or the import path of "
        f"one, found `{name}`"
    )


def _tensor(name: str, value: Any, tasks: Sequence[str]) -> Any:
    """{task: number} and [number, ...] as a tensor; anything else as it is."""
    if name == "PCD.tau":
        tasks = tasks[1:]  # the first is the primary one
    if isinstance(value, Mapping):
        if set(value) != set(tasks):
            found = ", ".join(value) or "none"
            raise ValueError(f"{name}: expected a value for each of {', '.join(tasks)}, found {found}")
        value = [value[t] for t in tasks]
    if isinstance(value, list | tuple):
        if len(value) != len(tasks):
            named = ", ".join(tasks)
            raise ValueError(f"{name}: expected {len(tasks)} values, one a task ({named}), found {len(value)}")
        return torch.tensor([float(x) for x in value])
    return value


def capture(module: nn.Module) -> dict[str, dict[str, Any]]:
    """All state of a module: what torchjd keeps in parameters and buffers, in plain attributes and in optimisers.

    `state_dict` leaves the last two out, and cannot be loaded where a buffer did not exist yet. What is neither number,
    text, tensor, array nor optimiser (a compiled problem of a solver, a function) is not state and is made anew.
    """
    return {name: _attributes(part) for name, part in module.named_modules()}


def _attributes(module: nn.Module) -> dict[str, Any]:
    inner = set(vars(nn.Module()))
    values = {**module._parameters, **module._buffers}
    values |= {key: value for key, value in vars(module).items() if key not in inner}
    packed = {key: _pack(value) for key, value in values.items()}
    return {key: value for key, value in packed.items() if value is not _UNKNOWN}


class _Unknown:
    """Marks what is no state."""


_UNKNOWN = _Unknown()


def _pack(value: Any) -> Any:
    """A value as tensors, numbers, texts and containers of them, which a checkpoint can hold."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return {"numpy": torch.from_numpy(value.copy())}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.dtype | torch.device):
        return {type(value).__name__: str(value).removeprefix("torch.")}
    if isinstance(value, Optimizer):
        return {"optimizer": value.state_dict()}
    if isinstance(value, list | tuple):
        packed = [_pack(item) for item in value]
        return _UNKNOWN if _UNKNOWN in packed else {type(value).__name__: packed}
    return _UNKNOWN


def restore(module: nn.Module, state: Mapping[str, Mapping[str, Any]], device: torch.device) -> None:
    """Bring a freshly made module into the state of `capture`."""
    for name, part in module.named_modules():
        for key, packed in state[name].items():
            if isinstance(packed, Mapping) and "optimizer" in packed:
                continue  # after the parameters that it has
            value = _unpack(packed, torch.device("cpu") if key in _ON_CPU else device)
            parameter = part._parameters.get(key)
            if parameter is not None:
                with torch.no_grad():
                    parameter.copy_(value)
            elif key in part._buffers:
                part._buffers[key] = value
            else:
                object.__setattr__(part, key, value)
        for key, packed in state[name].items():
            if isinstance(packed, Mapping) and "optimizer" in packed:
                optimizer = getattr(part, key) or _optimizer(part)
                optimizer.load_state_dict(packed["optimizer"])
                object.__setattr__(part, key, optimizer)
        begin = getattr(part, "_init_optim_problem", None)
        if begin is not None and vars(part).get("step"):  # Nash-MTL makes its solver's problem at step 0
            begin()


def _optimizer(module: nn.Module) -> Optimizer:
    """FAMO's, which it makes at its first update."""
    return torch.optim.Adam(module.parameters(), lr=module.lr, weight_decay=module.weight_decay)  # type: ignore[arg-type]  # floats of FAMO


def _unpack(packed: Any, device: torch.device) -> Any:
    if isinstance(packed, Tensor):
        return packed.to(device)
    if not isinstance(packed, Mapping):
        return packed
    ((kind, value),) = packed.items()
    if kind == "numpy":
        return value.cpu().numpy()
    if kind == "dtype":
        return getattr(torch, value)
    if kind == "device":
        return device
    items = [_unpack(item, device) for item in value]
    return items if kind == "list" else tuple(items)


@contextmanager
def quiet_solvers() -> Iterator[None]:
    """Nash-MTL's solver warns at its first step that later ones will be no faster: nobody here can change that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are solving a parameterized problem that is not DPP", UserWarning)
        yield


@contextmanager
def of_some(module: nn.Module, rows: list[int], tasks: int) -> Iterator[None]:
    """A method for some of the tasks, for a block: every tensor with a value a task (or a pair) has theirs.

    What the method remembers of them is written back; where it had no memory yet, it has none afterwards: that begins
    with the first step that has all tasks.
    """
    parts = list(module.modules())
    before = [{**vars(part), "_buffers": dict(part._buffers)} for part in parts]
    cut = [_sliced(part, rows, tasks) for part in parts]
    done = False
    try:
        yield
        done = True
    finally:
        begun = any(
            was["_buffers"].get(name) is None and value is not None
            for part, was in zip(parts, before, strict=True)
            for name, value in part._buffers.items()
        )
        for part, was, kept in zip(parts, before, cut, strict=True):
            if begun or not done:
                part.__dict__.update(was)
                continue
            for name, whole in kept.items():
                if name in part._buffers:
                    new, where = part._buffers[name], _where(whole, rows, tasks)
                    assert new is not None
                    new = new * whole[where].sum() if _shared(part, name) else new
                    whole = whole.clone()
                    whole[where] = new
                _put(part, name, whole)


def _sliced(module: nn.Module, rows: list[int], tasks: int) -> dict[str, Any]:
    """Cut a module's own tensors to some of the tasks; returns what they were."""
    kept: dict[str, Any] = {}
    for name, value in [*module._buffers.items(), *list(vars(module).items())]:
        if isinstance(value, Tensor) and value.shape[:1] == (tasks,):
            new: Any = value[_where(value, rows, tasks)]
            if _shared(module, name):
                new = new / new.sum().clamp(min=torch.finfo(new.dtype).tiny)
        elif isinstance(value, Tensor) and name == "_tau":  # PCD's, without the first task
            new = value[[row - 1 for row in rows[1:]]]
        elif name == "_state_key" and value is not None:  # of what the memory is: a new key would clear it
            new = (len(rows), *value[1:]) if isinstance(value, tuple) else len(rows)
        else:
            continue
        kept[name] = value
        _put(module, name, new)
    return kept


def _shared(module: nn.Module, name: str) -> bool:
    """Whether a buffer holds weights that sum to 1: some of the tasks then share what these had together."""
    return _SUM_TO_1.get(type(module).__name__) == name


def _where(value: Tensor, rows: list[int], tasks: int) -> Any:
    index = torch.tensor(rows)
    return (index[:, None], index) if value.shape == (tasks, tasks) else index


def _put(module: nn.Module, name: str, value: Any) -> None:
    if name in module._buffers:
        module._buffers[name] = value
    else:
        object.__setattr__(module, name, value)
