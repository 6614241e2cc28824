"""Whether the samples of a source are kept in a shard, and in which."""

import os
import platform
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from importlib.metadata import version
from math import inf
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from tutelage.cache import Entry, Key, cache_root, entries, free_bytes, is_disk_full, remove
from tutelage.data.base import DataSource, Split
from tutelage.data.fingerprint import identity
from tutelage.data.samples import Memory, Samples
from tutelage.data.shards.layout import STAMP_BYTES, Layout
from tutelage.data.shards.samples import Shard
from tutelage.types import Sample

Mode = Literal["auto", "always", "never"]
_KIND = "images"
_VERSION = 2  # raised whenever rows change
_SHARE = 0.25  # of the free disk that `auto` takes at most for one shard
_LOOKED_AT = 16  # samples from which the types of the rows follow
_COPIED = 64  # rows at a time
_GB = 1e9
_TOLD = 0.1  # GB from which a shard takes a line


class Keeper:
    """Keeps the samples of sources in shards, for all studies of a user.

    A shard belongs to the source's class, its arguments and folder, the split, the stamps of all its samples, and the
    versions of what decodes them. When files change or are added, a new shard takes the rows of the others from
    the old one, which is then removed. Where a sample has no stamp, the source's fingerprint stands for all of them.

    Args:
        mode: `auto` keeps what takes time to decode and is read more than once, at most a quarter of the free disk per
            split: not sources in memory, samples without stamps, nor what classes outside of tutelage decode, whose
            code may change. It reads what is kept already. `always` keeps these, too, whatever is free.
        note: is told what is kept, or why it is not.
        passes: how often the samples of a split are read, as far as that is known.
        root: the folder of the cache; None: the user's.
    """

    def __init__(
        self,
        mode: Mode,
        note: Callable[[str], None],
        passes: Mapping[Split, float] | None = None,
        root: Path | None = None,
    ) -> None:
        self.mode, self.note, self._passes, self._root = mode, note, passes or {}, root
        self._opened: dict[tuple[int, Split], tuple[DataSource, Samples]] = {}
        self._failed: set[str] = set()  # what was said once

    @property
    def root(self) -> Path:
        """The folder of the cache, which is needed only where something is kept."""
        return self._root or cache_root()

    def samples(self, source: DataSource, split: Split) -> Samples:
        """The samples of a source, of a shard where they are kept; `Memory` is not needed then."""
        key = id(source), split
        if key not in self._opened:
            samples = source.split(split)
            try:
                shard = self._open(source, split, samples.dataset if isinstance(samples, Memory) else samples)
            except OSError as error:
                reason = "the disk is full" if is_disk_full(error) else str(error)
                text = f"data: `{source.name}` is decoded in every epoch, and not kept: {reason}"
                if text not in self._failed:
                    self.note(text)
                self._failed.add(text)
                shard = None
            self._opened[key] = source, shard or samples
        return self._opened[key][1]

    def _open(self, source: DataSource, split: Split, samples: Samples) -> Shard | None:
        if self.mode == "never" or not len(samples) or (self.mode == "auto" and not _is_ours(source)):
            return None
        stamps = [samples.stamp(index) for index in range(len(samples))]
        if self.mode == "auto" and None in stamps:
            return None
        rows = _rows_of(stamps)
        facts = _facts(source, split, None if None in stamps else rows)
        earlier = self._earlier(facts, len(samples))
        if earlier is None and self.mode == "auto" and self._passes.get(split, inf) <= 1:
            return None
        decoded = {} if earlier else _some(samples)
        if decoded is None:
            return None
        layout = Layout.of(earlier.facts["layout"]) if earlier else None
        layout = layout or Layout.fitting(list(decoded.values()), source.modalities)
        if layout is None:
            if self.mode == "always":
                self.note(f"data: `{source.name}` is not kept decoded, since shapes differ between samples; set a size")
            return None
        label = f"{source.name}, {split}: {len(samples)} images"
        key = Key(_KIND, {**facts, "layout": layout.record()}, len(samples), layout.fields, label)
        exists = earlier is not None and earlier.digest == key.digest
        if not exists and not self._fits(key):
            return None
        shard = Shard(samples, Entry(key, self.root), layout, rows)
        for index, sample in decoded.items():
            shard.put(index, sample)
        if earlier is not None and not exists:
            self._take_over(earlier, shard)
        return shard

    def _fits(self, key: Key) -> bool:
        """Whether the disk has room for a new shard; the user is told."""
        free = free_bytes(self.root)
        size = f"{key.label} take {key.bytes / _GB:.2g} GB of the {free / _GB:.3g} GB that are free in {self.root}"
        if self.mode == "auto" and key.bytes > _SHARE * free:
            self.note(f"data: {size}, more than a quarter, so they are not kept; --shards always keeps them")
            return False
        if key.bytes >= _TOLD * _GB:
            self.note(f"data: kept decoded for all runs: {size}")
        return True

    def _earlier(self, facts: Mapping[str, Any], rows: int) -> Key | None:
        """The key of the shard with these facts or, if there is none, of one of the same source with other stamps."""
        found: Key | None = None
        for key in (one.key for one in entries(_KIND, self.root) if one.key is not None):
            of = {name: x for name, x in key.facts.items() if name != "layout"}
            if of == facts and key.rows == rows:
                return key
            if facts["stamps"] is not None and {**of, "stamps": facts["stamps"]} == facts:
                found = key
        return found

    def _take_over(self, key: Key, shard: Shard) -> None:
        """Copy the rows of samples that have not changed, and remove the shard of the files as they were."""
        old, new = Entry(key, self.root), shard.entry
        whole = old.has(torch.arange(key.rows)).tolist()
        stamps = old.read("stamp", torch.arange(key.rows)).numpy()
        places = {stamps[i].tobytes(): i for i in range(key.rows) if whole[i]}
        pairs = [(i, places.get(stamp.tobytes())) for i, stamp in enumerate(shard.stamps.numpy())]
        known = [(i, place) for i, place in pairs if place is not None]
        with new.filling():
            for begin in range(0, len(known), _COPIED):
                to, place = (torch.tensor(x) for x in zip(*known[begin : begin + _COPIED], strict=True))
                absent = ~new.has(to)
                if bool(absent.any()):
                    new.write(to[absent], {name: old.read(name, place[absent]) for name in key.fields})
        folder = old.folder
        del old  # it is open as long as it lives
        remove(folder)


def _some(samples: Samples) -> dict[int, Sample] | None:
    """A few samples, at even distances; None where one cannot be decoded."""
    looked_at = sorted({i * len(samples) // _LOOKED_AT for i in range(_LOOKED_AT)})
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return dict(zip(looked_at, pool.map(samples.__getitem__, looked_at), strict=True))
    except Exception:  # whatever a source raises: it raises it again where samples are read, and that is reported
        return None


def _is_ours(source: DataSource) -> bool:
    classes = [type(source), *(type(kind) for kind in source.modalities.values())]
    return not source.in_memory and all(x.__module__.startswith("tutelage.") for x in classes)


def _rows_of(stamps: list[str | None]) -> Tensor:
    """The stamps as rows of bytes, [N, 16]."""
    digests = [blake2b((stamp or "").encode(), digest_size=STAMP_BYTES).digest() for stamp in stamps]
    return torch.frombuffer(bytearray(b"".join(digests)), dtype=torch.uint8).view(len(stamps), STAMP_BYTES)


def _facts(source: DataSource, split: Split, stamps: Tensor | None) -> dict[str, Any]:
    """All that the rows of a shard depend on."""
    return {
        "version": _VERSION,
        "source": f"{type(source).__module__}.{type(source).__qualname__}",
        "origin": identity(source) if stamps is None else source.origin(),
        "split": split,
        "stamps": None if stamps is None else blake2b(stamps.numpy().tobytes(), digest_size=16).hexdigest(),
        "versions": {name: version(name) for name in ("numpy", "pillow", "torch")} | {"machine": platform.machine()},
    }
