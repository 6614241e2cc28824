"""The samples of a split, read from a shard where they are in it, and put into it where they are not."""

import warnings
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from tutelage.cache import Entry
from tutelage.data.packed import Column, Packed
from tutelage.data.samples import Around, Samples
from tutelage.data.shards.layout import Layout, state_of
from tutelage.types import Sample


class Shard(Around):
    """The samples of a dataset, bit for bit; each is decoded by the first process that reads it.

    Several workers and processes read the same pages of memory. A sample that does not fit the layout, for example of
    another size than the others, is decoded whenever it is read.

    Args:
        dataset: decodes the samples.
        entry: of the cache, with a row for every sample.
        layout: of a row.
        stamps: of the samples, uint8 [N, 16].
    """

    def __init__(self, dataset: Samples, entry: Entry, layout: Layout, stamps: Tensor) -> None:
        self.entry, self.layout, self.stamps = entry, layout, stamps
        super().__init__(dataset)
        self._writes = True

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        row = torch.tensor([index])
        if not bool(self._has(row)):
            sample = self.dataset[index]
            self.put(index, sample)
            return sample
        fits, present = state_of(self.entry.read("state", row))
        if not fits:
            return self.dataset[index]
        tasks = [t for t, has in zip(self.layout.tasks, present[0].tolist(), strict=True) if has]
        labels = {t: self._read(t, row).decode()[0] for t in tasks}
        return Sample(image=self._read("", row).decode()[0], labels=labels)

    def pack(self, indices: Sequence[int], tasks: Collection[str]) -> Packed:
        """The rows, after those that were absent are decoded and written."""
        rows = torch.tensor(indices)
        absent = rows[~self._has(rows)].tolist()
        if absent:
            decoded = {index: self.dataset[index] for index in absent}
            for index, sample in decoded.items():
                self.put(index, sample)
            if not bool(self._has(rows).all()):  # they could not be written
                return Packed.of([decoded.get(index) or self[index] for index in indices], tasks)
        fits, present = state_of(self.entry.read("state", rows))
        if not fits:
            return super().pack(indices, tasks)
        labels: dict[str, Column] = {}
        for position, task in enumerate(self.layout.tasks):
            has = tuple(present[:, position].tolist())
            if task in tasks and any(has):
                labels[task] = self._read(task, rows, has)
        return Packed(self._read("", rows), labels)

    def put(self, index: int, sample: Sample) -> None:
        """Write the row of a sample, unless another process has done so or the disk does not take it."""
        if not self._writes:
            return
        row = torch.tensor([index])
        fields = self.layout.pack(sample, self.stamps[index])  # in parallel, where threads decode
        try:
            with self.entry.filling():
                if not bool(self.entry.has(row)):
                    self.entry.write(row, fields)
        except OSError as error:  # a full disk, or a folder that others own: what is not kept is decoded again
            self._writes = False
            warnings.warn(f"{self.entry.folder}: decoded images are no longer kept: {error}", stacklevel=2)
            return
        self._has(row)

    def _read(self, name: str, rows: Tensor, present: tuple[bool, ...] | None = None) -> Column:
        values = self.entry.read(self.layout.field(name), rows)
        return Column(values, self.layout.codings[name], present or (True,) * len(rows))

    def _has(self, rows: Tensor) -> Tensor:
        has = self.entry.has(rows)
        if self._writes and not self.entry.sealed and self.entry.found_whole:
            self._seal()
        return has

    def _seal(self) -> None:
        """Say that all rows are whole, unless another process is about to."""
        try:
            with self.entry.filling(wait=False) as alone:
                if alone and not self.entry.sealed:
                    self.entry.seal()
        except OSError:  # it stays unsealed: every process then compares the checksums itself
            self._writes = False
