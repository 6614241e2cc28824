"""Fills the teacher cache: every row once, whatever the number of runs and processes that need it."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from rich.filesize import decimal

from tutelage.cache import Entry, cache_root, free_bytes
from tutelage.distill.teachers import Packing, Part, fill_rows
from tutelage.study.duration import duration
from tutelage.study.teacher_cache.outputs import CachedNetwork, Computed, Note
from tutelage.train import TrainConfig, load_repeated

_EVERY = 30.0  # seconds between two lines of progress


@dataclass
class Filling:
    """One output and its entries.

    Attributes:
        output: of a network for a source.
        entries: of its parts.
        computed: number of a batch of rows -> what is computed already.
    """

    output: CachedNetwork
    entries: Mapping[Part, tuple[Packing, Entry]]
    computed: Mapping[int, Computed]

    def has(self, rows: Sequence[int]) -> bool:
        """Whether some rows are whole."""
        chosen = torch.tensor(rows)
        return all(bool(entry.has(chosen).all()) for _, entry in self.entries.values())

    @property
    def sealed(self) -> bool:
        """Whether all rows are whole, for good."""
        return all(entry.sealed for _, entry in self.entries.values())


def fill(fillings: Sequence[Filling], train: TrainConfig, fabric: Fabric, note: Note) -> None:
    """Fill the entries of some outputs; one process does, and the others that need them wait.

    What an earlier process wrote before it ended is kept. Outputs for the same images load them once.

    Args:
        fillings: what is filled.
        train: how images are loaded and networks run.
        fabric: has the device and the precision.
        note: is told how much disk and time it takes, and how far it is.

    Raises:
        OSError: the system could not write.
    """
    groups: dict[tuple[str, tuple[int, ...]], list[Filling]] = {}
    for filling in fillings:
        if not filling.sealed:
            groups.setdefault((filling.output.stream.name, tuple(filling.output.rows.indices)), []).append(filling)
    for group in groups.values():
        entries = {entry.folder: entry for filling in group for _, entry in filling.entries.values()}
        with ExitStack() as stack:
            for folder in sorted(entries):  # in one order, so that two processes cannot wait for each other
                if not stack.enter_context(entries[folder].filling(wait=False)):
                    note("teacher cache: waits for another process, which fills it")
                    stack.enter_context(entries[folder].filling())
            _fill_group(group, train, fabric, note)
            for entry in (entry for entry in entries.values() if not entry.sealed):
                entry.seal()


def _fill_group(group: Sequence[Filling], train: TrainConfig, fabric: Fabric, note: Note) -> None:
    """Fill entries that have the same rows."""
    output = group[0].output
    missing = [i for i, rows in enumerate(output.batches) if not all(filling.has(rows) for filling in group)]
    if not missing:
        return
    bytes_needed = sum(entry.key.bytes for filling in group for _, entry in filling.entries.values())
    count, free = sum(len(output.batches[i]) for i in missing), free_bytes(cache_root())
    names = ", ".join(name for filling in group for name in filling.output.teachers)
    note(
        f"teacher cache: runs {names} once on {count} images of {output.stream.name}, and keeps "
        f"{decimal(bytes_needed)} in {cache_root()}, where {decimal(free)} are free besides"
    )
    begin = told = time.monotonic()
    loaded = [
        i for i in missing if not all(i in filling.computed or filling.has(output.batches[i]) for filling in group)
    ]
    for filling in group:
        for i in (i for i in missing if i not in loaded and not filling.has(output.batches[i])):
            fill_rows(filling.entries, torch.tensor(output.batches[i]), *filling.computed[i])
    views = [output.rows.keys(output.batches[i]) for i in loaded]
    for done, (i, batch) in enumerate(
        zip(loaded, load_repeated(output.stream, train.augment, views, train.workers), strict=True)
    ):
        rows = output.batches[i]
        for filling in (filling for filling in group if not filling.has(rows)):
            computed = filling.computed.get(i) or filling.output.compute(batch, fabric, train.memory_format)
            fill_rows(filling.entries, torch.tensor(rows), *computed)
        left = (time.monotonic() - begin) / (done + 1) * (len(loaded) - done - 1)
        if time.monotonic() - told >= _EVERY or (done == 1 and left >= _EVERY):
            told = time.monotonic()
            note(f"teacher cache: {done + 1} of {len(loaded)} batches, about {duration(left)} left")
