"""What the check found in each sample, remembered in the user's cache folder until a file of the sample changes."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tutelage.cache import cache_root
from tutelage.data.look import Measure, Stored
from tutelage.files import locked, write_atomically
from tutelage.images import Size
from tutelage.study.config import Study

_KEY = 16  # bytes of a key
_VERSION = 8  # raised whenever more is checked, or the file changes


@dataclass(frozen=True)
class Finding:
    """What the check of one sound sample leaves.

    Attributes:
        size: of its image.
        sufficient: task with a label -> whether the label is sufficient.
        stored: "" for the image, or task -> how it is stored, as far as that is known.
        measures: "" for the image, or task -> its values.
        content: a digest of the image's pixels.
        colours: task with a palette -> class -> the colour 0xRRGGBB at this index.
    """

    size: Size
    sufficient: Mapping[str, bool]
    stored: Mapping[str, Stored] = field(default_factory=dict)
    measures: Mapping[str, Measure] = field(default_factory=dict)
    content: str = ""
    colours: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """One sample that was checked, now or before.

    Attributes:
        index: in its split.
        where: names the origin of its image, or of its label of a task.
        finding: what the check left.
    """

    index: int
    where: Callable[..., str]
    finding: Finding


class Findings:
    """The findings of a study's samples, by key; a file in the cache folder for each study's data and tasks.

    The file is a line of JSON with a digest, and another one of all findings. One that is damaged, or of another
    version, is no file. What another process has written meanwhile is kept.

    Args:
        path: the file; None: nothing is remembered.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._known = self._read()
        self._new: dict[str, Any] = {}

    @classmethod
    def of(cls, study: Study) -> "Findings":
        """Those of a study: of its data with their arguments, and of its tasks with theirs."""
        facts = (_VERSION, _located(study.values["data"]), study.values["tasks"])
        name = blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()
        try:
            return cls(cache_root() / "checked" / f"{name}.findings")
        except OSError:  # there is no home folder
            return cls(None)

    def get(self, key: str) -> Finding | None:
        """The finding of a sample, unless it was never checked."""
        record = self._known.get(_digest(key))
        return None if record is None else _of_record(*record)

    def add(self, key: str, finding: Finding) -> None:
        """Remember a finding; `write` keeps it."""
        self._new[_digest(key)] = _record(finding)

    def write(self) -> None:
        """Add what is new to the file; where it cannot be written, samples are checked again next time."""
        if self.path is None or not self._new:
            return
        with suppress(OSError), locked(self.path.parent, wait=True):
            rows = json.dumps({**self._read(), **self._new}).encode()
            content = json.dumps(_header(rows)).encode() + b"\n" + rows
            write_atomically(self.path, lambda file: file.write(content))

    def _read(self) -> dict[str, Any]:
        try:
            if self.path is None:
                return {}
            with self.path.open("rb") as file:
                header, rows = json.loads(file.readline()), file.read()
            known: dict[str, Any] = json.loads(rows) if header == _header(rows) else {}
            return known
        except (OSError, ValueError):  # there is none, or it is damaged
            return {}


def _header(rows: bytes) -> dict[str, Any]:
    return {"version": _VERSION, "digest": blake2b(rows, digest_size=16).hexdigest()}


def _record(finding: Finding) -> Sequence[Any]:
    """A finding as JSON holds it."""
    stored = {name: astuple(replace(x, palette="")) for name, x in finding.stored.items()}
    measures = {name: [*list(vars(x).values())[:-1], list(x.classes.items())] for name, x in finding.measures.items()}
    colours = {name: list(x.items()) for name, x in finding.colours.items()}
    return [finding.size, dict(finding.sufficient), stored, measures, finding.content, colours]


def _of_record(
    size: Sequence[int], sufficient: dict[str, bool], stored: Any, measures: Any, content: str, colours: Any
) -> Finding:
    return Finding(
        (size[0], size[1]),
        sufficient,
        {name: Stored(*x) for name, x in stored.items()},
        {name: Measure(*[*x[:-1], dict(x[-1])]) for name, x in measures.items()},
        content,
        {name: dict(x) for name, x in colours.items()},
    )


def _digest(key: str) -> str:
    return blake2b(key.encode(), digest_size=_KEY).hexdigest()


def _located(value: Any) -> Any:
    """Plain values with the paths of files and folders made absolute: two folders may have the same relative path."""
    if isinstance(value, Mapping):
        return {key: _located(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_located(item) for item in value]
    return os.path.abspath(value) if isinstance(value, str) and os.path.exists(value) else value
