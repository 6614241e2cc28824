"""What is read of files that may come from anybody: no pipes and devices, nothing endless, no folder twice."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from tutelage.errors import UserError

TEXT = 2**24  # bytes that a text for people may have: a study, the numbers of an image
RECORD = 2**28  # a record, with as many rows as anybody compares
LOG = 2**30  # a log, whose lines become many with the steps of a training


def check_regular(path: str | Path) -> None:
    """Raise a UserError for a pipe, a socket or a device: to read one may never end."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # who opens it says more
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise UserError(f"{path}: expected a file, found {kind}; replace or remove it")


def read_limited(path: str | Path, most: int) -> bytes:
    """The content of a file that has at most so many bytes.

    Raises:
        UserError: It has more, or is a pipe, a socket or a device.
        OSError: It cannot be read.
    """
    check_limited(path, most)
    return Path(path).read_bytes()


def check_limited(path: str | Path, most: int) -> None:
    """Raise a UserError for a file of more than so many bytes, and for a pipe, a socket or a device."""
    check_regular(path)
    try:
        size = os.stat(path).st_size
    except (OSError, ValueError):  # who opens it says more
        return
    if size > most:
        raise UserError(f"{path}: expected at most {most} bytes, found {size}; replace or remove it")


def files_below(
    folder: Path, levels: int | None = None, left_out: Callable[[Path], bool] = lambda path: False
) -> Iterator[Path]:
    """The files of a folder and its sub-folders without hidden ones, every folder once, however many links lead to it.

    Folders come before links to them: what lies below the folder has the name that it has there.

    Args:
        folder: The folder; there are none in what is no folder.
        levels: How many levels of sub-folders are looked into; None: all.
        left_out: Whether a folder is left out with all below it.

    Raises:
        OSError: A folder cannot be read: it is no empty one.
    """
    seen: set[str] = set()
    waiting = [folder] if folder.is_dir() else []
    for start in waiting:  # it grows by the links that are met
        for here, folders, files in os.walk(start, onerror=_raise):
            path, real = Path(here), os.path.realpath(here)
            if real in seen or left_out(path):
                folders.clear()
                continue
            seen.add(real)
            yield from (path / name for name in files if not name.startswith("."))
            if levels is not None and len(path.parts) - len(folder.parts) >= levels:
                folders.clear()
            folders[:] = [name for name in sorted(folders) if not name.startswith(".")]
            waiting += [path / name for name in folders if (path / name).is_symlink()]


def _raise(error: OSError) -> None:
    raise error
