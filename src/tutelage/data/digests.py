"""Digests of files' whole contents, remembered until a file changes."""

import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from tutelage.cache import cache_root
from tutelage.files import write_text
from tutelage.reading import check_regular

_SETTLED = 2 * 10**9  # ns after which a file that changes again has another time of change, on any file system


def digests(paths: Sequence[Path]) -> list[str]:
    """A digest of each file's content.

    It is remembered in the user's cache folder with the file's size and times of change, so that all files are read
    once, and afterwards only those that have changed.
    """
    files = [os.path.abspath(path) for path in paths]
    memory = _memory(files)
    known = _read(memory)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda file: _digest(file, known.get(file)), files))
    changed = {f: x for f, x in zip(files, found, strict=True) if x[-1] is not None and known.get(f) != x}
    if memory is not None and changed:
        with suppress(OSError):  # a full disk: they are read again next time
            others = {f: x for f, x in known.items() if os.path.exists(f)}  # another source may read these
            write_text(memory, json.dumps(others | changed))
    return [str(entry[0]) for entry in found]


def _digest(file: str, known: Any) -> list[Any]:
    """The digest, and the file's state at that time, None where it may still change unseen."""
    before = os.stat(file)
    state = [before.st_size, before.st_mtime_ns, before.st_ctime_ns]
    if isinstance(known, list) and known[1:] == [state]:
        return known
    check_regular(file)
    with open(file, "rb") as opened:
        digest = file_digest(opened, lambda: blake2b(digest_size=16)).hexdigest()
    settled = max(state[1:]) < time.time_ns() - _SETTLED
    return [digest, state if settled else None]


def _memory(files: Sequence[str]) -> Path | None:
    """Where the digests of the files of one folder are remembered; None where there is no home folder."""
    if not files:
        return None
    name = blake2b(os.fsencode(os.path.commonpath(files)), digest_size=16).hexdigest()
    try:
        return cache_root() / "digests" / f"{name}.json"
    except OSError:
        return None


def _read(memory: Path | None) -> dict[str, Any]:
    try:
        known = {} if memory is None else json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there is none, or it is damaged
        return {}
    return known if isinstance(known, dict) else {}
