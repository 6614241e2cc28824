"""One entry of the cache: rows of tensors in memory-mapped files, each of them whole or absent."""

import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tutelage.cache.disk import allocate, cache_root
from tutelage.cache.key import Field, Key
from tutelage.files import flock, write_json, write_text

KEY, SEALED, LOCK, SUMS = "key.json", "sealed", ".lock", "rows.sums"
_SUM = Field((), torch.int64)  # of the rows of SUMS


class Entry:
    """Rows of fields, shared by all processes that open it: they read the same pages of memory, and copy none.

    A row has a checksum, which is written after its data. While the entry is not sealed, a process compares it before
    it reads the row for the first time, so that a row that was half written when a process was killed or the power
    failed is absent. `seal` says that all rows are whole, and nothing is compared any more.

    An entry is pickled by its path: a process that receives it opens the files itself.

    Args:
        key: all that the rows depend on.
        root: the folder of the cache; None: the user's.

    Raises:
        OSError: the files cannot be made, for example since the disk is full (`is_disk_full`).
    """

    def __init__(self, key: Key, root: Path | None = None) -> None:
        self.key, self.root = key, root or cache_root()
        self.folder = self.root / key.kind / key.digest
        weakref.finalize(self, os.close, _hold(self.folder))  # while it is open, `clear` leaves the entry alone
        self._create()
        self._rows = {name: self._map(f"{name}.rows", field) for name, field in key.fields.items()}
        self._sums = self._map(SUMS, _SUM)
        self._whole = torch.zeros(key.rows, dtype=torch.bool)  # whose checksums this process has compared
        self._sealed = False
        with suppress(OSError):  # for `clear --older-than`; a folder that is only readable serves as well
            os.utime(self.folder / LOCK)

    def __getstate__(self) -> dict[str, Any]:
        return {"key": self.key, "root": self.root}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # the files are opened again

    @property
    def sealed(self) -> bool:
        """Whether all rows are whole, for good."""
        self._sealed = self._sealed or (self.folder / SEALED).exists()
        return self._sealed

    @property
    def found_whole(self) -> bool:
        """Whether this process has found all rows whole, and may therefore `seal` the entry."""
        return bool(self._whole.all())

    def has(self, indices: Tensor) -> Tensor:
        """Which of some rows are whole: bool, of the shape of `indices` [n]."""
        if self.sealed:
            return torch.ones(len(indices), dtype=torch.bool)
        written = indices[(self._sums[indices] != 0) & ~self._whole[indices]]
        for i in written.tolist():
            self._whole[i] = self._checksum(i) == int(self._sums[i])
        return self._whole[indices]

    def read(self, field: str, indices: Tensor) -> Tensor:
        """A copy of some rows of a field, [n, *shape]; the caller knows from `has` that they are whole.

        Args:
            field: its name.
            indices: of the rows, int64 [n], on the host.
        """
        return self._rows[field].index_select(0, indices)

    def write(self, indices: Tensor, fields: Mapping[str, Tensor]) -> None:
        """Write some rows of all fields.

        Args:
            indices: of the rows, int64 [n], on the host.
            fields: name -> [n, *shape] of the field's dtype.

        Raises:
            OSError: the system could not write.
        """
        assert fields.keys() == self.key.fields.keys()
        assert not self.sealed
        for name, values in fields.items():
            field = self.key.fields[name]
            assert values.shape == (len(indices), *field.shape), f"{name}: {tuple(values.shape)}"
            assert values.dtype == field.dtype, f"{name}: {values.dtype}"
            self._put(f"{name}.rows", indices, values)
        # What is compared is what was written, through the same pages that everybody reads.
        self._put(SUMS, indices, torch.tensor([self._checksum(i) for i in indices.tolist()], dtype=torch.int64))
        self._whole[indices] = True

    def seal(self) -> None:
        """Say that all rows are whole, once they are on the disk. They are never written again."""
        assert bool(self.has(torch.arange(self.key.rows)).all()), "all rows are written before an entry is sealed"
        for path in self._files():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        write_text(self.folder / SEALED, "")

    @contextmanager
    def filling(self, wait: bool = True) -> Iterator[bool]:
        """Hold for a block what one process at a time may have, to fill the entry; False: another process has it.

        Args:
            wait: until it is free, which is when the other process has finished or was killed.
        """
        with (self.folder / ".filling").open("a") as file:
            yield flock(file, wait=wait)

    def _create(self) -> None:
        """Allocate the files, unless they are there: key.json is the last one."""
        with (self.folder / ".creating").open("a") as file:
            flock(file)
            paths = self._files()
            if (self.folder / KEY).exists() and all(p.exists() and p.stat().st_size == n for p, n in paths.items()):
                return
            for path in (self.folder / KEY, self.folder / SEALED, *paths):
                path.unlink(missing_ok=True)
            try:
                for path, size in paths.items():
                    allocate(path, size)
            except BaseException:  # of Ctrl-C, too: an incomplete entry gives its room back
                for path in paths:
                    path.unlink(missing_ok=True)
                raise
            write_json(self.folder / KEY, self.key.record())

    def _files(self) -> dict[Path, int]:
        sizes = {f"{name}.rows": field.bytes for name, field in self.key.fields.items()} | {SUMS: _SUM.bytes}
        return {self.folder / name: size * self.key.rows for name, size in sizes.items()}

    def _map(self, name: str, field: Field) -> Tensor:
        shape = (self.key.rows, *field.shape)
        count = torch.Size(shape).numel()
        return torch.from_file(str(self.folder / name), shared=True, size=count, dtype=field.dtype).view(shape)

    def _put(self, name: str, indices: Tensor, values: Tensor) -> None:
        """Write rows of a file as a file, not through its map: an error of the disk is then an exception."""
        rows = _bytes(values)
        with (self.folder / name).open("rb+") as file:
            for i, row in zip(indices.tolist(), rows, strict=True):
                file.seek(i * rows.shape[1])
                file.write(row.numpy().data)

    def _checksum(self, row: int) -> int:
        """Of the row's bytes in all fields; never 0, which says that there is none."""
        digest = blake2b(digest_size=8)
        for name in sorted(self._rows):
            digest.update(_bytes(self._rows[name][row : row + 1]).numpy().data)
        return int.from_bytes(digest.digest(), "little", signed=True) or 1


def is_complete(key: Key, root: Path | None = None) -> bool:
    """Whether there is an entry of a key whose rows are all there."""
    return ((root or cache_root()) / key.kind / key.digest / SEALED).exists()


def _bytes(values: Tensor) -> Tensor:
    """Values [n, ...] as bytes, uint8 [n, size of a row]."""
    return values.contiguous().view(len(values), -1).view(torch.uint8)


def _hold(folder: Path) -> int:
    """Share the lock of an entry's folder, which is made, until the file that is returned is closed."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o666)
        except FileNotFoundError:  # `clear` has just removed the folder
            continue
        flock(file, shared=True)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), (folder / LOCK).stat()):
                return file
        os.close(file)  # of an entry that `clear` has removed meanwhile
