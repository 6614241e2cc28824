"""Files that are either whole or not there."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

_PART = ".part-"  # in the name of a file that is being written


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file beside `path` with `write` and move it there once it is on the disk.

    Raises:
        OSError: the system could not, for example on a full disk; it names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write(path, write)
    except (OSError, RuntimeError) as error:  # torch's zip writer hides the system's error behind one of its own
        system = _system_error(error)
        if system is None or system.errno is None:
            raise
        raise OSError(system.errno, system.strerror, str(path)) from error


def _system_error(error: BaseException | None) -> OSError | None:
    """The error of the system behind an error."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}{_PART}")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        os.replace(name, path)
        _sync(path.parent)
    except BaseException:  # Ctrl-C, too: no part of a file stays
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


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))
