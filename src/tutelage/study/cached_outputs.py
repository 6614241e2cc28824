"""What the cache would keep for a run: the output of each of its teachers' networks for each source, and its cost."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from tutelage.cache import Entry, Field, Key, cache_root, is_complete
from tutelage.data import Augment
from tutelage.distill.teachers import (
    Packing,
    Part,
    Passes,
    RowNumbers,
    Storage,
    bytes_per_image,
    compute_parts,
    image_digests,
    network_facts,
    resize,
    teachers_of,
)
from tutelage.distill.teachers.cache import DIGEST
from tutelage.study.cache_record import Needs
from tutelage.study.config import StudyConfig
from tutelage.study.plan import RunSpec
from tutelage.train import Stream, Streams, TrainConfig, load_repeated, repeated_views
from tutelage.train.streams import possibly_labelled
from tutelage.types import Distiller, MultiTaskNet

Note = Callable[[str], None]  # one line to the user
Computed = tuple[dict[Part, Tensor], Tensor]  # of one batch: the parts of the output, and the digests of its images


@dataclass
class CachedNetwork:
    """The output of one network for one source.

    Attributes:
        network: that computes it.
        passes: that read it.
        teachers: the names of the network.
        stream: the source's images.
        rows: the row of each view of an image.
        batch_size: of the source, in which the network is run.
        needs: what is kept of the output.
        facts: all that it depends on.
        reads: the images that all runs read of it.
    """

    network: MultiTaskNet
    passes: Passes
    teachers: tuple[str, ...]
    stream: Stream
    rows: RowNumbers
    batch_size: int
    needs: Needs
    facts: Mapping[str, Any]
    reads: int

    @property
    def label(self) -> str:
        """What the user calls it."""
        return f"{', '.join(self.teachers)} on {self.stream.name}"

    @cached_property
    def digest(self) -> str:
        """Of the facts."""
        return Key("teachers", self.facts, 1, {DIGEST: Field((), torch.int64)}).digest

    @cached_property
    def batches(self) -> list[list[int]]:
        """The rows, in the batches in which they are always computed, so that each has the same bits whoever does."""
        rows = list(range(len(self.rows)))
        return [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]

    def covers(self, parts: Mapping[Part, Packing]) -> bool:
        """Whether some parts are all that is needed."""
        taps = {part.name for part in parts if part.kind == "tap"}
        return taps >= {*self.needs.taps} and {p.name for p in parts if p.kind == "prediction"} >= {*self.needs.tasks}

    def key(self, part: Part, packing: Packing) -> Key:
        """The key of the entry of one part."""
        facts = {**self.facts, "part": list(part), "packing": packing.record()}
        stored = str(packing.fields["values"].dtype).removeprefix("torch.")
        fields = {**packing.fields, DIGEST: Field((), torch.int64)}
        return Key("teachers", facts, len(self.rows), fields, f"{self.label}, {part.label}, {stored}")

    def is_complete(self, parts: Mapping[Part, Packing]) -> bool:
        """Whether all rows of some parts are there already."""
        return all(is_complete(self.key(part, packing)) for part, packing in parts.items())

    def entries(self, parts: Mapping[Part, Packing]) -> dict[Part, tuple[Packing, Entry]]:
        """The entries of some parts, made where they are missing.

        Raises:
            OSError: the disk is full, for example.
        """
        return {part: (packing, Entry(self.key(part, packing))) for part, packing in parts.items()}

    def compute(self, images: Tensor, fabric: Fabric, layout: torch.memory_format) -> Computed:
        """Run the network on some images [B, 3, H, W] that lie on the host."""
        digests = image_digests(images)
        images = images.to(fabric.device).to(memory_format=layout)
        images = resize(images, self.passes.size(self.network))
        with fabric.autocast():
            return compute_parts(self.network, images, self.needs.taps, self.needs.tasks), digests


def cached_networks(
    spec: RunSpec, objects: StudyConfig, distiller: Distiller, streams: Streams, needs: Mapping[str, Needs], data: str
) -> Iterator[CachedNetwork]:
    """What the cache would keep for a run, where its views come again.

    Args:
        spec: the run.
        objects: of its config.
        distiller: of the run.
        streams: its images.
        needs: what all methods of the study read of each teacher.
        data: fingerprint of its data.

    Raises:
        Uncacheable: nobody would know if the code of a network changed.
    """
    repeated = repeated_views(objects.train.augment)
    assert repeated is not None
    length = streams.length
    for passes, network, names, labels in _networks(distiller):
        taps, tasks = passes.needs[network]
        need = Needs(taps, tasks)
        for name in names:
            need |= needs.get(name, Needs())
        facts = {**network_facts(network), "size": passes.size(network)}
        for stream, size in zip(streams.streams, streams.batch_sizes, strict=True):
            indices = _indices(stream, labels)
            if not indices:
                continue
            rows = RowNumbers(indices, repeated[0], repeated[1])
            of_source = _facts(spec, objects.train, stream, rows, size, data)
            reads = length.steps * length.parts * size * need.runs
            yield CachedNetwork(network, passes, names, stream, rows, size, need, {**facts, **of_source}, reads)


def _networks(
    distiller: Distiller,
) -> Iterator[tuple[Passes, MultiTaskNet, tuple[str, ...], tuple[str, ...] | None]]:
    """Each network with its names, and the tasks of whose labels an image needs one to be seen (None: of none)."""
    for passes in {id(teachers.passes): teachers.passes for teachers in teachers_of(distiller)}.values():
        for network in passes.needs:
            names: dict[str, None] = {}
            labels: tuple[str, ...] | None = ()
            for teachers in (teachers for teachers in teachers_of(distiller) if teachers.passes is passes):
                for name in (name for name, one in teachers.networks.items() if one is network):
                    names[name], own = None, teachers.labels(name)
                    labels = None if labels is None or own is None else (*labels, *own)
            yield passes, network, tuple(names), labels


def _indices(stream: Stream, labels: tuple[str, ...] | None) -> list[int]:
    """The samples of a stream that a teacher sees, as far as is known without reading them."""
    seen = [stream.index(position) for position in range(len(stream))]
    labelled = None if labels is None else possibly_labelled(stream.samples, labels)
    return sorted(seen if labelled is None else {*seen} & {*labelled})


def _facts(
    spec: RunSpec, train: TrainConfig, stream: Stream, rows: RowNumbers, batch_size: int, data: str
) -> dict[str, Any]:
    return {
        "data": data,
        "source": stream.name,
        "split": "train",
        "samples": blake2b(repr(list(rows.indices)).encode(), digest_size=16).hexdigest(),
        "augment": spec.config["train"].get("augment"),
        "views": [rows.numbers, list(rows.flips)],
        "batch": batch_size,
        "precision": train.resolved_precision(),
        "channels_last": train.channels_last,
        "deterministic": train.deterministic,
    }


@dataclass
class Probe:
    """A few images of a network's output, and what it costs.

    Attributes:
        parts: how each part is stored.
        computed: number of a batch of rows -> what it holds.
        compute: seconds in which the network runs on an image.
        write: seconds in which an image is written.
        read: seconds in which an image is read.
        bytes: of the whole output on the disk.
    """

    parts: dict[Part, Packing]
    computed: dict[int, Computed]
    compute: float
    write: float
    read: float
    bytes: int


def probe(
    output: CachedNetwork, augment: Augment | None, storage: Storage, fabric: Fabric, layout: torch.memory_format
) -> Probe:
    """Compute the first two batches of an output, write and read them; the faster one of them counts.

    Raises:
        OSError: the cache cannot be written.
    """
    computed: dict[int, Computed] = {}
    seconds = []
    few = output.batches[:2]
    images = load_repeated(output.stream, augment, [output.rows.keys(rows) for rows in few])
    for number, (rows, batch) in enumerate(zip(few, images, strict=True)):
        begin = _now(fabric)
        computed[number] = output.compute(batch, fabric, layout)
        seconds.append((_now(fabric) - begin) / len(rows))
    parts = {part: Packing.of(values, storage) for part, values in computed[0][0].items()}
    total = len(output.rows) * bytes_per_image(parts.values())
    write, read = _disk_seconds(parts, computed[0][0], total, fabric)
    count = len(few[0])
    return Probe(parts, computed, min(seconds), write / count, read / count, total)


def _disk_seconds(
    parts: Mapping[Part, Packing], values: Mapping[Part, Tensor], total: int, fabric: Fabric
) -> tuple[float, float]:
    """Seconds in which a batch is written to the disk of the cache, and read from it as it will be."""
    cache_root().mkdir(parents=True, exist_ok=True)
    write = read = 0.0
    for part, packing in parts.items():
        begin = _now(fabric)
        packed = packing.pack(values[part])
        with tempfile.NamedTemporaryFile(dir=cache_root(), prefix=".probe-") as file:
            file.writelines(x.view(-1).view(torch.uint8).numpy().data for x in packed.values())
            file.flush()
            os.fsync(file.fileno())
            write += _now(fabric) - begin
            if total > _memory() / 2 and hasattr(os, "posix_fadvise"):  # most rows will come from the disk
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            begin = _now(fabric)
            size = file.tell()
            torch.from_file(file.name, shared=True, size=size, dtype=torch.uint8).clone()
            packing.unpack(packed, fabric.device)
            read += _now(fabric) - begin
    return write, read


def _memory() -> float:
    """Bytes of memory of this machine; infinite where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _now(fabric: Fabric) -> float:
    if fabric.device.type == "cuda":
        torch.cuda.synchronize(fabric.device)
    return time.perf_counter()
