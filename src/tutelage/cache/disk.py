"""Where the cache is, what is free there, and files that have their room on the disk before they are written."""

import errno
import os
import shutil
from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} if hasattr(errno, "EDQUOT") else {errno.ENOSPC, errno.EFBIG}
_BLOCK = 1 << 22  # bytes written at a time where the system cannot allocate


def cache_root() -> Path:
    """The folder of the cache: `$TUTELAGE_CACHE`, else `$XDG_CACHE_HOME/tutelage`, else `~/.cache/tutelage`.

    Raises:
        OSError: the user has no home folder, as in some containers.
    """
    own = os.environ.get("TUTELAGE_CACHE")
    if own:
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "tutelage")
    except RuntimeError as error:
        text = "expected a home folder, found none; set TUTELAGE_CACHE to another folder"
        raise FileNotFoundError(errno.ENOENT, text, "~/.cache/tutelage") from error


def free_bytes(folder: Path) -> int:
    """What a user may still write to the disk of a folder, which need not exist yet.

    Raises:
        OSError: the system does not say.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def is_disk_full(error: OSError) -> bool:
    """Whether a file could not be written because the disk, the user's quota or the largest size is reached."""
    return error.errno in _FULL


def allocate(path: Path, size: int) -> None:
    """Make `path` a file of `size` bytes, all 0, whose room on the disk is taken: no later write lacks any.

    A file that merely had this length would end a process that writes to its memory map on a full disk.

    Raises:
        OSError: the disk is full, for example; the file is removed.
    """
    try:
        with path.open("wb", buffering=0) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:  # macOS and Windows
                for begin in range(0, size, _BLOCK):
                    file.write(bytes(min(_BLOCK, size - begin)))
    except BaseException:  # of Ctrl-C, too: what is incomplete gives its room back
        path.unlink(missing_ok=True)
        raise
