"""Fingerprints of data, stamps of samples, and orders by hash, which are the same on every machine."""

import os
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from tutelage.data.base import DataSource, Split
from tutelage.data.digests import digests

# Fingerprints keep the names that splits and kinds of labels had when the first runs were made, so that runs go on.
FINGERPRINTED: Mapping[Split, str] = {"train": "train", "test": "val"}
# Arguments that earlier versions had not, where they are as those versions were.
_NEW = (
    (re.compile(r"\b(DepthLabel\(scale=[^,()]+), ignore=\(65535,\), limit=None\)"), r"\1)"),
    (re.compile(r"\b(InverseDepthLabel\(scale=[^,()]+), ignore=\(\), limit=None\)"), r"\1)"),
    (re.compile(r"\bTrainIdsLabel\((ignore=\([^()]*\)), classes=\d+\)"), r"ClassesLabel(\1)"),
)
_FORMER = ContextVar("former", default=False)
_EXCERPT = 4096  # bytes that earlier versions read at the beginning, in the middle and at the end of a file
_KINDS = re.compile(r"\b(Classes|Mask|Depth|InverseDepth|Normals|Class|Numbers)Label\(")

K = TypeVar("K", bound=Hashable)


def ranked(keys: Iterable[K], seed: object) -> list[K]:
    """The keys in the order of a hash of (seed, key)."""
    return sorted(keys, key=lambda key: blake2b(f"{seed}/{key}".encode(), digest_size=8).digest())


def identity(source: DataSource) -> str:
    """A source's class and fingerprint, for the fingerprint of a source that holds it."""
    return f"{type(source).__module__}.{type(source).__qualname__}: {source.fingerprint()}"


def arguments_text(*arguments: object) -> str:
    """The arguments of a source, for its fingerprint; without what earlier versions had none of and is as it was."""
    text = repr(arguments)
    for pattern, former in _NEW:
        text = pattern.sub(former, text)
    return _KINDS.sub(r"\1(", text)


def fingerprint_of_text(text: str) -> str:
    """The fingerprint of a source that its arguments describe completely."""
    return blake2b(text.encode(), digest_size=8).hexdigest()


def fingerprint_of_files(arguments: str, files: Iterable[tuple[str, Path]]) -> str:
    """The fingerprint of a source of files: of its arguments, and of each file's name and whole content.

    It is the same for every copy. Contents are read again where size or time of change say so (`digests`).

    Args:
        arguments: The arguments of the source as text.
        files: The name of each file within the data set, and where it lies.
    """
    digest = blake2b(arguments.encode(), digest_size=8)
    named = list(files)
    if _FORMER.get():
        for name, path in named:
            digest.update(f"{name}:{path.stat().st_size}\n".encode())
            digest.update(_excerpts(path))
        return digest.hexdigest()
    for (name, _), content in zip(named, digests([path for _, path in named]), strict=True):
        digest.update(f"{name}:{content}\n".encode())
    return digest.hexdigest()


@contextmanager
def as_formerly() -> Iterator[None]:
    """Have fingerprints of files computed as earlier versions did, which read parts of each file alone."""
    token = _FORMER.set(True)
    try:
        yield
    finally:
        _FORMER.reset(token)


def _excerpts(path: Path) -> bytes:
    length = path.stat().st_size
    with path.open("rb") as file:
        pieces = []
        for start in (0, (length - _EXCERPT) // 2, length - _EXCERPT):
            file.seek(max(0, start))
            pieces.append(file.read(_EXCERPT))
    return b"".join(pieces)


def stamp_of_files(files: Iterable[tuple[str, Path]], *facts: object) -> str | None:
    """The stamp of a sample: of each of its files' name, size and times of change, and of what else it depends on.

    Times are that of the content, which archives and copies set as they like, and that of the file's entry, which only
    the system sets: it tells that a file was replaced by one of the same size and the same time.

    Args:
        files: The name of each file within the data set, and where it lies.
        facts: What belongs to the sample and is not in its files.

    Returns:
        None where a file cannot be found: only reading the sample says what is wrong.
    """
    digest = blake2b(repr(facts).encode(), digest_size=16)
    try:
        for name, path in files:
            found = os.stat(path)
            digest.update(f"{name}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}\n".encode())
    except OSError:
        return None
    return digest.hexdigest()
