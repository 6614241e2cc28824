"""The whole state of torchjd's methods, and their state for some of the tasks.

This is the only file that names attributes of torchjd, as of 0.18.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_ON_CPU = ("_phi_t", "_sq_norm_ema", "_n_steps")  # of GradVac and PCD, which compute there wherever the gradients are
_SUM_TO_1 = {"ExcessMTLWeighting": "_weights", "MoDoWeighting": "_lambda", "SDMGradWeighting": "_w"}


def capture(module: nn.Module) -> dict[str, dict[str, Any]]:
    """All state of a module: what torchjd keeps in parameters and buffers, in plain attributes and in optimisers.

    `state_dict` leaves the last two out, and cannot be loaded where a buffer did not exist yet. What is neither number,
    text, tensor, array nor optimiser (a compiled problem of a solver, a function) is not state and is rebuilt.
    """
    return {name: _attributes(submodule) for name, submodule in module.named_modules()}


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
    """Bring a new module into the state of `capture`."""
    for name, submodule in module.named_modules():
        for key, packed in state[name].items():
            if isinstance(packed, Mapping) and "optimizer" in packed:
                continue  # after the parameters that it has
            value = _unpack(packed, torch.device("cpu") if key in _ON_CPU else device)
            parameter = submodule._parameters.get(key)
            if parameter is not None:
                with torch.no_grad():
                    parameter.copy_(value)
            elif key in submodule._buffers:
                submodule._buffers[key] = value
            else:
                object.__setattr__(submodule, key, value)
        for key, packed in state[name].items():
            if isinstance(packed, Mapping) and "optimizer" in packed:
                optimizer = getattr(submodule, key) or _optimizer(submodule)
                optimizer.load_state_dict(packed["optimizer"])
                object.__setattr__(submodule, key, optimizer)
        begin = getattr(submodule, "_init_optim_problem", None)
        if begin is not None and vars(submodule).get("step"):  # Nash-MTL makes its solver's problem at step 0
            begin()


def _optimizer(module: nn.Module) -> Optimizer:
    """FAMO's, which it creates at its first update."""
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


def last_weights(method: Any) -> Tensor:
    """The weights of Nash-MTL's last step."""
    return torch.from_numpy(method.weighting.prvs_alpha)


@contextmanager
def of_some(module: nn.Module, rows: list[int], tasks: int) -> Iterator[None]:
    """In this block a method works for some of its tasks: every tensor with a value per task, or per pair, has theirs.

    What the method remembers of them is written back. If it had no memory yet, it has none afterwards: the memory
    begins with the first step that has all tasks.
    """
    modules = list(module.modules())
    before = [{**vars(submodule), "_buffers": dict(submodule._buffers)} for submodule in modules]
    cut = [_sliced(submodule, rows, tasks) for submodule in modules]
    done = False
    try:
        yield
        done = True
    finally:
        begun = any(
            was["_buffers"].get(name) is None and value is not None
            for submodule, was in zip(modules, before, strict=True)
            for name, value in submodule._buffers.items()
        )
        for submodule, was, kept in zip(modules, before, cut, strict=True):
            if begun or not done:
                submodule.__dict__.update(was)
                continue
            for name, whole in kept.items():
                if name in submodule._buffers:
                    new, where = submodule._buffers[name], _where(whole, rows, tasks)
                    assert new is not None
                    new = new * whole[where].sum() if _shared(submodule, name) else new
                    whole = whole.clone()
                    whole[where] = new
                _put(submodule, name, whole)


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
    """Whether a buffer holds weights that sum to 1, which some of the tasks then share among themselves."""
    return _SUM_TO_1.get(type(module).__name__) == name


def _where(value: Tensor, rows: list[int], tasks: int) -> Any:
    index = torch.tensor(rows)
    return (index[:, None], index) if value.shape == (tasks, tasks) else index


def _put(module: nn.Module, name: str, value: Any) -> None:
    if name in module._buffers:
        module._buffers[name] = value
    else:
        object.__setattr__(module, name, value)
