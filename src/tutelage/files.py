"""Files that are written as a whole or not at all."""

import errno
import json
import os
import secrets
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from math import isfinite
from pathlib import Path
from typing import IO, Any

from tutelage.errors import UserError
from tutelage.reading import check_regular

if sys.platform != "win32":
    import fcntl

DIGEST = "digest"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_PART = ".part-"  # in the name of a file that is being written


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a temporary file beside `path` with `write`, and rename it to `path` once it is on the disk.

    Raises:
        OSError: The system could not write, for example because the disk is full; it names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path):
        _write(path, write)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let the system's error in a block name the file that is written there.

    Torch's zip writer and Fabric's logger of TensorBoard wrap it in an error of their own.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        system = _system_error(error)
        if system is None or system.errno is None:
            raise
        raise OSError(system.errno, system.strerror, str(path)) from error


def _system_error(error: BaseException | None) -> OSError | None:
    """The system's error among the causes of an error."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    part = path.with_name(f".{path.name}{_PART}{secrets.token_hex(8)}")
    try:
        # `open` leaves the permissions to the system, which applies the umask. (mkstemp would need a chmod, and the
        # umask can only be read by setting it for all threads.)
        with _create(part) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync(path.parent)
    except BaseException:  # of Ctrl-C, too: no incomplete file stays
        part.unlink(missing_ok=True)
        raise


def _create(part: Path) -> IO[bytes]:
    return part.open("xb")


def expand_home(path: str | os.PathLike[str]) -> Path:
    """The path, with the home folder in place of a leading `~`, which a shell replaces only at the start of a word."""
    return Path(os.path.expanduser(path))


def check_folder(key: str, path: Path) -> None:
    """Raise a UserError that names `key` if something other than a folder has this path, or the path of one above."""
    for part in (path, *path.parents):
        if part.exists():
            if not part.is_dir():
                raise UserError(f"{key}: expected a folder, found the file {part}; give another one")
            return


def remove_parts(folder: Path) -> None:
    """Remove the temporary files of a killed process from a folder that no other process writes to."""
    for path in folder.glob(f".*{_PART}*"):
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Flush the file's new name to the disk, on systems that can open a folder."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    write_atomically(path, lambda file: file.write(content))


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write plain values as a JSON file, atomically."""
    write_text(path, json_text(value, indent=2) + "\n")


def write_record(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as a JSON file with a digest, by which their reader (`values.parse`) finds a flipped bit."""
    plain = json.loads(json_text(values))
    write_json(path, {**plain, DIGEST: record_digest(plain)})


def record_digest(values: Mapping[str, Any]) -> str:
    """The digest of the plain values of a JSON file, without the one that is among them."""
    text = json.dumps({key: value for key, value in values.items() if key != DIGEST}, sort_keys=True)
    return blake2b(text.encode(), digest_size=16).hexdigest()


def json_text(value: Any, indent: int | None = None) -> str:
    """Plain values as JSON, which has no nan and no infinity: null stands for these.

    >>> json_text({"loss": float("nan"), "step": 3})
    '{"loss": null, "step": 3}'
    """
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def flock(file: IO[Any] | int, shared: bool = False, wait: bool = True) -> bool:
    """Lock an open file, or learn that another process holds it (False).

    The lock is the operating system's: it ends when the file is closed, or with the process and the children that
    inherited the file, however they end. There is none on Windows. A file system without locks is warned of, and taken
    for one that nobody else uses.

    Args:
        file: that others lock, too.
        shared: with others that share it, while nobody holds it alone.
        wait: until it is free.
    """
    if sys.platform == "win32":
        return True
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, mode if wait else mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warnings.warn(
            f"expected a file system with locks (flock), found {error.strerror}; use one process", stacklevel=2
        )
    return True


@contextmanager
def locked(folder: Path, wait: bool = False) -> Iterator[bool]:
    """Hold the lock of a folder for a block, or learn that another process does (False); `wait` waits for it.

    The lock is the operating system's: it ends with its process, however that ends, and with the processes that load
    its images (`train.workers`: within seconds). There is none on Windows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_regular(folder / ".lock")
    with (folder / ".lock").open("a") as file:
        yield flock(file, wait=wait)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Write to a folder that several processes share, one at a time, after removing what a killed one left there."""
    with locked(folder, wait=True):
        remove_parts(folder)
        yield


def write_shared(path: Path, text: str) -> None:
    """Write a text file into a folder that several processes share."""
    with alone(path.parent):
        write_text(path, text)
