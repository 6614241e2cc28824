"""The folders of runs, kept where every machine can reach them though they share no disk."""

import shutil
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

import fsspec

from tutelage.errors import UserError, one_line
from tutelage.files import write_atomically
from tutelage.study.execute import RunObserver

_PART = ".part-"  # in the name of a file that is being written, here as on a disk
_LAST = ("checkpoint.pt", "result.json")  # each says of the files before it that they are there
HEAVY = ("checkpoint.pt", "predictions.safetensors")  # what teaching does not need


class Mirror:
    """Copies of run folders at a URL of fsspec.

    Args:
        url: of the folder that stands for that of the study, for example `s3://bucket/study` or `file:///shared/study`.

    Raises:
        UserError: fsspec does not know the protocol, or the package that it needs is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            self.files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise UserError(f"--store: expected a URL that fsspec opens, found {url}: {one_line(error)}") from error
        self.root = PurePosixPath(root)

    def has_result(self, run: str) -> bool:
        """Whether the run with this id is finished there."""
        return bool(self.files.exists(str(self.root / run / "result.json")))

    def pull(self, run: str, folder: Path, but: Collection[str] = ()) -> None:
        """Copy the folder of a run from there.

        Args:
            run: its id.
            folder: of the study here; the run's is `folder / run`.
            but: names of files that are left out.
        """
        there = self.root / run
        for path in _in_order(self.files.find(str(there))):
            name = PurePosixPath(path).relative_to(there)
            if name.name not in but and _PART not in name.name:
                with self.files.open(path, "rb") as source:
                    write_atomically(folder / run / name, partial(shutil.copyfileobj, source))

    def push(
        self, run: str, folder: Path, known: Mapping[Path, tuple[int, int]] | None = None
    ) -> dict[Path, tuple[int, int]]:
        """Copy what is new in the folder of a run to there.

        Each file is whole or absent there, and a checkpoint or a result comes after what belongs to it.

        Args:
            run: its id.
            folder: of the study here.
            known: what the last call has returned.

        Returns:
            Size and time of every file that is there now.
        """
        found = {}
        place = folder / run
        for path in map(Path, _in_order(str(path) for path in place.rglob("*") if path.is_file())):
            if path.name == ".lock" or _PART in path.name:
                continue
            facts = path.stat()
            found[path] = facts.st_size, facts.st_mtime_ns
            if found[path] != (known or {}).get(path):
                there = self.root / run / path.relative_to(place).as_posix()
                part = there.with_name(f".{there.name}{_PART}store")
                self.files.makedirs(str(there.parent), exist_ok=True)
                self.files.put_file(str(path), str(part))
                self.files.mv(str(part), str(there))
        return found


def _in_order(paths: Iterable[str]) -> list[str]:
    names = {path: PurePosixPath(path).name for path in paths}
    return sorted(names, key=lambda path: (_LAST.index(names[path]) + 1 if names[path] in _LAST else 0, path))


class Mirrored:
    """The observer of a run that copies its folder after every checkpoint.

    Args:
        observer: is told of everything.
        mirror: where to.
        run: id of the run.
        folder: of the study here.
    """

    def __init__(self, observer: RunObserver, mirror: Mirror, run: str, folder: Path) -> None:
        self.observer, self.mirror, self.run, self.folder = observer, mirror, run, folder
        self.begin, self.log, self.note = observer.begin, observer.log, observer.note
        self.checkpoint = folder / run / "checkpoint.pt"
        self.saved = self._time()
        self.known: dict[Path, tuple[int, int]] = {}

    def step(self, step: int, total: int) -> None:
        """After every step: the checkpoint of the one before may be new."""
        if self._time() != self.saved:
            self.push()
        self.observer.step(step, total)

    def push(self) -> None:
        """Copy what is new."""
        self.saved = self._time()
        self.known = self.mirror.push(self.run, self.folder, self.known)

    def _time(self) -> int:
        return self.checkpoint.stat().st_mtime_ns if self.checkpoint.exists() else 0
