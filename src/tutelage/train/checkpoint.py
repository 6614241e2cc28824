"""Files that are either whole or not there, and that hold no code."""

import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import safetensors.torch
import torch
from torch import Tensor

_PART = ".part-"  # in the name of a file that is being written


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file beside `path` with `write` and move it there once it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}{_PART}")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        os.replace(name, path)
        _sync(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def remove_parts(folder: Path) -> None:
    """Remove what a process that was killed while writing left in a folder that is now ours."""
    for path in folder.glob(f".*{_PART}*"):
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Have the file's new name on the disk, too; not every system can open a folder."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Save tensors, numbers, strings and containers of them."""
    write_atomically(path, lambda file: torch.save(dict(state), file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint to the CPU without running code from it.

    Raises:
        ValueError: the file is not a checkpoint.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of files that are refused in the next moment
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch names its errors by what the bytes look like; all mean the same here
        problem = f"what torch does not read without running code ({type(error).__name__})"
        raise ValueError(f"{path}: expected a checkpoint of tutelage, found {problem}; delete it") from error
    if not isinstance(state, dict):
        raise ValueError(f"{path}: expected a checkpoint of tutelage, found {type(state).__name__}; delete it")
    return state


def save_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Save tensors and texts."""
    data = safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, dict(metadata or {})
    )
    write_atomically(path, lambda file: file.write(data))
