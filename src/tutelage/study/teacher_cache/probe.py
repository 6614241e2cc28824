"""What keeping the output of a network would cost, measured on a few images."""

import mmap
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor

from tutelage.cache import cache_root
from tutelage.distill.teachers import Packing, Part, bytes_per_image
from tutelage.study.teacher_cache.outputs import CachedNetwork, Computed
from tutelage.train import TrainConfig, load_repeated


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


def probe(output: CachedNetwork, train: TrainConfig, fabric: Fabric) -> Probe:
    """Compute the first two batches of an output, write and read them; the faster one of them counts.

    Raises:
        OSError: the cache cannot be written.
    """
    computed: dict[int, Computed] = {}
    seconds = []
    few = output.batches[:2]
    images = load_repeated(output.stream, train.augment, [output.rows.keys(rows) for rows in few])
    for number, (rows, batch) in enumerate(zip(few, images, strict=True)):
        begin = _now(fabric)
        computed[number] = output.compute(batch, fabric, train.memory_format)
        seconds.append((_now(fabric) - begin) / len(rows))
    parts = {part: Packing.of(values, train.teacher_cache.storage) for part, values in computed[0][0].items()}
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
        with tempfile.TemporaryFile(dir=cache_root()) as file:
            file.writelines(x.view(-1).view(torch.uint8).numpy().data for x in packed.values())
            file.flush()
            os.fsync(file.fileno())
            write += _now(fabric) - begin
            if total > _memory() / 2 and hasattr(os, "posix_fadvise"):  # most rows will come from the disk
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            begin = _now(fabric)
            with mmap.mmap(file.fileno(), 0) as pages:
                bytes(pages)
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
