"""The teachers of a case, read from the cache."""

from pathlib import Path

import torch

from tutelage.bench.case import Case
from tutelage.cache import Entry, Field, Key
from tutelage.distill.teachers import CachedOutput, Packing, RowNumbers, fill_rows, image_digests, split_output
from tutelage.distill.teachers.cache import DIGEST


def read_from_cache(case: Case, folder: Path) -> Case:
    """Write what the teachers compute for the batch of a case, once, and let its steps read it; returns the case.

    As in a run, the teachers then lie in files that are mapped into memory.

    Args:
        case: one with teachers.
        folder: where the rows are written.
    """
    assert case.distiller is not None
    passes, images = case.distiller.teachers.passes, case.batch.images
    rows, digests = RowNumbers(range(len(images))), image_digests(images)
    cached = {}
    for number, (network, (taps, tasks)) in enumerate(passes.needs.items()):
        with torch.no_grad(), case.fabric.autocast():
            parts = split_output(passes.compute(network, images.to(memory_format=case.layout), tasks), taps, tasks)
        entries = {}
        for part, values in parts.items():
            packing = Packing.of(values, "auto")
            fields = {**packing.fields, DIGEST: Field((), torch.int64)}
            key = Key("bench", {"network": number, "part": list(part)}, len(rows), fields)
            entries[part] = packing, Entry(key, folder)
        fill_rows(entries, torch.arange(len(rows)), parts, digests)
        cached[network] = {case.batch.source: CachedOutput(entries, rows, print)}
        case.parked += passes.park(network, folder)
    passes.cached = cached
    return case
