"""What the cache would keep for a run: the output of each of its teachers' networks for each source, and its cost."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from tutelage.cache import Entry, Field, Key, is_complete
from tutelage.distill.teachers import (
    Packing,
    Part,
    Passes,
    RowNumbers,
    code_of,
    image_digests,
    network_facts,
    resize,
    split_output,
    teachers_of,
)
from tutelage.distill.teachers.cache import DIGEST
from tutelage.study.config import StudyConfig
from tutelage.study.plan import RunSpec
from tutelage.study.teacher_cache.record import Needs
from tutelage.train import Stream, Streams, TrainConfig, repeated_views
from tutelage.train.streams import possibly_labelled
from tutelage.types import Distiller, MultiTaskNet, Task

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

    def needed(self, parts: Mapping[Part, Packing]) -> dict[Part, Packing]:
        """Those of some parts that are needed."""
        names = {"tap": self.needs.taps, "prediction": self.needs.tasks}
        return {part: packing for part, packing in parts.items() if part.name in names[part.kind]}

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
        with torch.no_grad(), fabric.autocast():
            output = self.passes.compute(self.network, images, self.needs.tasks)
        return split_output(output, self.needs.taps, self.needs.tasks), digests


def cached_networks(
    spec: RunSpec, objects: StudyConfig, distiller: Distiller, streams: Streams, needs: Mapping[str, Needs], data: str
) -> Iterator[CachedNetwork]:
    """What the cache would keep for a run, where its views come again.

    Args:
        spec: the run.
        objects: of its config.
        distiller: of the run.
        streams: its images.
        needs: what all methods of the study read of each teacher, see `needs_key`.
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
            need |= needs.get(needs_key(name, passes.mirrors(network)), Needs())
        facts = {**network_facts(network), "size": passes.size(network)}
        if passes.mirrors(network):
            facts["mirror"] = [_mirroring(t, spec, passes) for t in need.tasks]
        for stream, size in zip(streams.streams, streams.batch_sizes, strict=True):
            indices = _indices(stream, labels)
            if not indices:
                continue
            rows = RowNumbers(indices, repeated[0], repeated[1])
            of_source = _facts(spec, objects.train, stream, rows, size, data)
            reads = length.steps * length.parts * size * need.runs
            yield CachedNetwork(network, passes, names, stream, rows, size, need, {**facts, **of_source}, reads)


def needs_key(name: str, mirrors: bool) -> str:
    """Under which the needs of a teacher are known: its predictions of mirror images, too, are another output."""
    return f"{name}, mirrored" if mirrors else name


def _mirroring(task: str, spec: RunSpec, passes: Passes) -> list[Any]:
    """What the predictions of a task depend on where they are mirrored back."""
    classes = (c for c in type(passes.tasks[task]).__mro__ if issubclass(c, Task))
    return [task, spec.config["tasks"][task], code_of(classes)]


def _networks(
    distiller: Distiller,
) -> Iterator[tuple[Passes, MultiTaskNet, tuple[str, ...], tuple[str, ...] | None]]:
    """Each network that may be kept, its names, and the tasks of whose labels an image needs one (None: of none)."""
    moving = {one.network for teachers in teachers_of(distiller) for one in teachers.named.values() if one.moves}
    for passes in {id(teachers.passes): teachers.passes for teachers in teachers_of(distiller)}.values():
        for network in (network for network in passes.needs if network not in moving):
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
        **(
            {} if train.validation is None else {"validation": train.validation}
        ),  # other samples under the same numbers
        "samples": blake2b(repr(list(rows.indices)).encode(), digest_size=16).hexdigest(),
        "augment": spec.config["train"].get("augment"),
        "views": [rows.numbers, list(rows.flips)],
        "batch": batch_size,
        "precision": train.resolved_precision(),
        "channels_last": train.memory_format == torch.channels_last,
        "deterministic": train.deterministic,
    }
