"""What is in the cache, and removing it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from tutelage.cache.disk import cache_root
from tutelage.cache.entry import KEY, LOCK, SEALED, SUMS
from tutelage.cache.key import Key
from tutelage.files import flock

_DAY = 86400.0  # seconds


@dataclass(frozen=True)
class Listed:
    """One entry of the cache.

    Attributes:
        kind: what it is for.
        key: all that it depends on; None: its creation was interrupted, or another version has made it.
        folder: where it is.
        bytes: on the disk.
        days: since a process opened it.
        written: the part of its rows that is written, in 0..1.
        complete: whether it is sealed.
        held: whether a process has it open.
    """

    kind: str
    key: Key | None
    folder: Path
    bytes: int
    days: float
    written: float
    complete: bool
    held: bool

    @property
    def label(self) -> str:
        """What it holds."""
        return "unfinished" if self.key is None else self.key.label


def entries(kind: str | None = None, root: Path | None = None) -> list[Listed]:
    """The entries of the cache, or those of a kind, the largest first.

    Args:
        kind: the kind; None: all.
        root: the folder of the cache; None: the user's.
    """
    found = []
    for lock in (root or cache_root()).glob(f"{kind or '*'}/*/{LOCK}"):
        with suppress(FileNotFoundError):  # another process is clearing the cache
            found.append(_describe(lock.parent))
    return sorted(found, key=lambda one: (-one.bytes, one.folder))


def clear(
    kind: str | None = None, older_than_days: float = 0.0, root: Path | None = None
) -> tuple[list[Listed], list[Listed]]:
    """Remove entries that no process has open.

    Args:
        kind: only of this kind; None: all.
        older_than_days: only those that no process has opened for so long.
        root: the folder of the cache; None: the user's.

    Returns:
        The removed entries, and those that stay since a process has them open.
    """
    removed: list[Listed] = []
    held: list[Listed] = []
    for one in entries(kind, root):
        if one.days < older_than_days:
            continue
        with suppress(FileNotFoundError):  # another process is clearing the cache
            (removed if remove(one.folder) else held).append(one)
    return removed, held


def remove(folder: Path) -> bool:
    """Remove the entry in a folder, unless a process has it open; whether it is removed."""
    with _alone(folder) as free:
        if free:
            # Without key.json there is no entry. The lock goes last: until then nobody can make the entry again.
            names = sorted((path.name for path in folder.iterdir()), key=lambda name: (name == LOCK, name != KEY))
            for name in names:
                (folder / name).unlink(missing_ok=True)
    if free:
        with suppress(OSError):  # somebody makes it again already
            folder.rmdir()
    return free


def _describe(folder: Path) -> Listed:
    try:
        key = Key.of(json.loads((folder / KEY).read_text()))
        sums = torch.from_file(str(folder / SUMS), shared=False, size=key.rows, dtype=torch.int64)
        written = float((sums != 0).float().mean())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError, RuntimeError):
        key, written = None, 0.0  # its creation was interrupted, or another version has made it
    stats = [path.stat() for path in folder.iterdir()]
    size = sum(stat.st_blocks * 512 if hasattr(stat, "st_blocks") else stat.st_size for stat in stats)
    days = (time.time() - (folder / LOCK).stat().st_mtime) / _DAY
    with _alone(folder) as free:
        return Listed(
            folder.parent.name, key, folder, size, max(days, 0.0), written, (folder / SEALED).exists(), not free
        )


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no other process has an entry open; for the block, none opens it."""
    with (folder / LOCK).open("rb") as file:
        yield flock(file, wait=False)
