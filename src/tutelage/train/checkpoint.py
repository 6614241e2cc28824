"""Checkpoints and tensors in files without code."""

import pickle
import warnings
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from tutelage.errors import UserError, one_line
from tutelage.files import write_atomically


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Save tensors, numbers, strings and containers of them.

    Raises:
        UserError: There is something else, which could not be loaded without running code.
    """
    _check(path, dict(state), "")
    write_atomically(path, lambda file: torch.save(dict(state), file))


_CONTAINERS = (dict, OrderedDict, Counter, list, tuple, set)
_PLAIN = (type(None), bool, int, float, str, Tensor, nn.Parameter)  # of which torch need not be asked


def _check(path: Path, value: Any, key: str) -> None:
    kind = type(value)
    if kind in _CONTAINERS:
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            _check(path, item, f"{key}.{name}" if key else str(name))
    elif kind not in _PLAIN and not _is_safe(value):
        raise UserError(
            f"{path}: expected tensors, numbers, strings and containers of them in `{key}`, found "
            f"{kind.__module__}.{kind.__qualname__}; change the `state_dict` that gives it"
        )


def _is_safe(value: Any) -> bool:
    """Whether torch would load it without running code."""
    file = BytesIO()
    try:
        torch.save(value, file)
    except (AttributeError, TypeError, pickle.PicklingError):  # it cannot be saved
        return False
    file.seek(0)
    return not torch.serialization.get_unsafe_globals_in_checkpoint(file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint to the CPU without running code from it.

    Raises:
        UserError: The file is not a checkpoint.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not compare checksums
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"a damaged part `{damaged}`")
        with warnings.catch_warnings(action="ignore"):  # about files that are then refused
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many types; all mean the same here
        problem = f"what torch does not read without running code ({type(error).__name__}: {one_line(error, 60)})"
        raise UserError(f"{path}: expected a checkpoint of tutelage, found {problem}; delete it") from error
    if not isinstance(state, dict):
        raise UserError(f"{path}: expected a checkpoint of tutelage, found {type(state).__name__}; delete it")
    return state


def save_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Save tensors and texts."""
    data = safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, dict(metadata or {})
    )
    write_atomically(path, lambda file: file.write(data))
