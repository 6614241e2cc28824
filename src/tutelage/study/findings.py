"""What the check found in each sample, remembered in the user's cache folder until a file of the sample changes."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.cache import cache_root
from tutelage.files import locked, write_atomically
from tutelage.images import Size
from tutelage.study.config import Study

_KEY = 16  # bytes of a key
_VERSION = 5  # raised whenever more is checked, or the file changes
_ABSENT, _INSUFFICIENT, _SUFFICIENT = range(3)


@dataclass(frozen=True)
class Finding:
    """What the check of one sound sample leaves.

    Attributes:
        size: of its image.
        sufficient: task with a label -> whether the label is sufficient.
    """

    size: Size
    sufficient: Mapping[str, bool]


class Findings:
    """The findings of a study's samples, by key; a file in the cache folder for each study's data and tasks.

    The file is a line of JSON and one row per sample: digest of the key, height, width, and a byte per task. One that
    is damaged, or of another version, is no file. What another process has written meanwhile is kept.

    Args:
        path: the file; None: nothing is remembered.
        tasks: names of the tasks, in the order of the rows' bytes.
    """

    def __init__(self, path: Path | None, tasks: Sequence[str]) -> None:
        self.path, self.tasks = path, list(tasks)
        self._row = np.dtype([("key", f"V{_KEY}"), ("size", "<u4", (2,)), ("labels", "u1", (len(self.tasks),))])
        self._known = self._read()
        self._new: dict[bytes, Finding] = {}

    @classmethod
    def of(cls, study: Study) -> "Findings":
        """Those of a study: of its data with their arguments, and of its tasks with theirs."""
        facts = (_VERSION, _located(study.values["data"]), study.values["tasks"])
        name = blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()
        try:
            path = cache_root() / "checked" / f"{name}.findings"
        except OSError:  # there is no home folder
            return cls(None, list(study.objects.tasks))
        return cls(path, list(study.objects.tasks))

    def get(self, key: str) -> Finding | None:
        """The finding of a sample, unless it was never checked."""
        return self._known.get(_digest(key))

    def add(self, key: str, finding: Finding) -> None:
        """Remember a finding; `write` keeps it."""
        self._new[_digest(key)] = finding

    def write(self) -> None:
        """Add what is new to the file; where it cannot be written, samples are checked again next time."""
        if self.path is None or not self._new:
            return
        with suppress(OSError), locked(self.path.parent, wait=True):
            known = {**self._read(), **self._new}
            rows = np.array([self._as_row(key, finding) for key, finding in known.items()], self._row).tobytes()
            content = json.dumps(self._header(rows)).encode() + b"\n" + rows
            write_atomically(self.path, lambda file: file.write(content))

    def _read(self) -> dict[bytes, Finding]:
        try:
            if self.path is None:
                return {}
            with self.path.open("rb") as file:
                header, rows = json.loads(file.readline()), file.read()
            if header != self._header(rows):
                return {}
            table = np.frombuffer(rows, self._row)
            keys, sizes, labels = table["key"].tobytes(), table["size"].tolist(), table["labels"].tolist()
            findings = map(self._as_finding, sizes, labels)
            return {keys[i * _KEY : (i + 1) * _KEY]: finding for i, finding in enumerate(findings)}
        except (OSError, ValueError):  # there is none, or it is damaged
            return {}

    def _header(self, rows: bytes) -> dict[str, Any]:
        return {"version": _VERSION, "tasks": self.tasks, "digest": blake2b(rows, digest_size=16).hexdigest()}

    def _as_row(self, key: bytes, finding: Finding) -> tuple[bytes, Size, tuple[int, ...]]:
        states = {None: _ABSENT, False: _INSUFFICIENT, True: _SUFFICIENT}
        return key, finding.size, tuple(states[finding.sufficient.get(t)] for t in self.tasks)

    def _as_finding(self, size: list[int], labels: list[int]) -> Finding:
        states = zip(self.tasks, labels, strict=True)
        return Finding((size[0], size[1]), {t: state == _SUFFICIENT for t, state in states if state != _ABSENT})


def _digest(key: str) -> bytes:
    return blake2b(key.encode(), digest_size=_KEY).digest()


def _located(value: Any) -> Any:
    """Plain values with the paths of files and folders made absolute: two folders may have the same relative path."""
    if isinstance(value, Mapping):
        return {key: _located(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_located(item) for item in value]
    return os.path.abspath(value) if isinstance(value, str) and os.path.exists(value) else value
