"""The forward passes of the teachers' networks: one per network and batch, whatever is distilled from it."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from tutelage.distill.teachers.parking import park
from tutelage.errors import UserError
from tutelage.types import Batch, MultiTaskNet, Output, Task, transfer


@dataclass
class _Request:
    """What is read of one network, by all that read it."""

    taps: set[str] = field(default_factory=set)
    tasks: dict[str, None] = field(default_factory=dict)  # whose predictions are read, in order
    readers: int = 0
    size: tuple[int, int] | None = None  # of the images that it sees; None: of the batch
    mirror: bool | None = None  # whether predictions are means over the images and their mirror images; None: either


@dataclass
class Reading:
    """What a network gives for some images of a batch.

    Attributes:
        output: The requested taps and predictions.
        indices: The images, on their device; None: all.
    """

    output: Output
    indices: Tensor | None

    def select(self, x: Tensor) -> Tensor:
        """The same images of a tensor [B, ...] of the batch."""
        return x if self.indices is None else x[self.indices]


class Kept(Protocol):
    """What is kept of a network's output for the images of one source: `CachedOutput`."""

    def read(
        self, batch: Batch, indices: Tensor | None, taps: Collection[str], tasks: Collection[str]
    ) -> Output | None:
        """Some taps and predictions for some images of a batch; None where the network has to compute them."""


class Passes:
    """Runs each network once per batch for all that read it, and remembers the output while somebody will read it.

    An output is dropped when all readers had it, and at the latest when the outermost `with passes.batch()` ends.

    Attributes:
        cached: what is read from the cache in place of running a network: network -> source -> its rows.
        tasks: know how predictions of mirror images are mirrored back.
    """

    def __init__(self) -> None:
        self._requests: dict[MultiTaskNet, _Request] = {}
        self._readings: dict[tuple[MultiTaskNet, tuple[int, ...] | None], Reading] = {}
        self._reads: dict[MultiTaskNet, int] = {}  # of this batch
        self._resized: dict[tuple[int, int], Tensor] = {}  # its images in the sizes of teachers
        self._depth = 0
        self._parked: set[MultiTaskNet] = set()
        self.cached: Mapping[MultiTaskNet, Mapping[str, Kept]] = {}
        self.tasks: Mapping[str, Task] = {}

    def park(self, network: MultiTaskNet, folder: Path) -> int:
        """Move a network that is read from the cache out of memory, see `park`, until it runs after all.

        Raises:
            OSError: The disk is full, for example; the network can run all the same.
        """
        self._parked.add(network)
        return park(network, folder)

    def fetch(self, network: MultiTaskNet, device: torch.device) -> None:
        """Bring a parked network that runs after all to the device of its images."""
        if network in self._parked:
            network.to(device)
            self._parked.remove(network)

    @property
    def needs(self) -> dict[MultiTaskNet, tuple[tuple[str, ...], tuple[str, ...]]]:
        """The taps, and the tasks whose predictions are read, of each network."""
        return {network: (tuple(sorted(x.taps)), tuple(x.tasks)) for network, x in self._requests.items()}

    def size(self, network: MultiTaskNet) -> tuple[int, int] | None:
        """The size of the images that a network sees; None: that of the batch."""
        return self._requests[network].size

    def mirrors(self, network: MultiTaskNet) -> bool:
        """Whether the predictions of a network are means over the images and their mirror images."""
        return bool(self._requests[network].mirror)

    def request(
        self,
        network: MultiTaskNet,
        taps: Collection[str] = (),
        tasks: Collection[str] = (),
        size: tuple[int, int] | None = None,
        mirror: bool | None = None,
    ) -> None:
        """Announce one reader of a network: the taps and the predictions that it reads, and the size of its images.

        Args:
            network: The network.
            taps: That are read.
            tasks: Whose predictions are read.
            size: Of the images that it sees; None: of the batch.
            mirror: Whether predictions are means over the images and their mirror images; None: as others want them.

        Raises:
            UserError: Another reader gives it images of another size, or wants other predictions.
        """
        request = self._requests.setdefault(network, _Request(size=size))
        if request.size != size:
            raise UserError(
                f"teachers: expected one `size` for all teachers with the same network, found {request.size} and "
                f"{size}; give each its own network"
            )
        if mirror is not None:
            if request.mirror not in (None, mirror):
                raise UserError(
                    "mirror: expected one value for all parts that distil predictions of the same network, found true "
                    "and false; give them the same"
                )
            request.mirror = mirror
        request.taps |= set(taps)
        request.tasks |= dict.fromkeys(tasks)
        request.readers += 1

    @classmethod
    def merged(cls, several: Iterable["Passes"]) -> "Passes":
        """The requests of several together; each is counted once."""
        merged = cls()
        for passes in {id(passes): passes for passes in several}.values():
            for network, request in passes._requests.items():
                merged.request(network, request.taps, request.tasks, request.size, request.mirror)
                merged._requests[network].readers += request.readers - 1
        return merged

    @contextmanager
    def batch(self) -> Iterator[None]:
        """The block in which one batch is distilled; nested blocks belong to the same batch."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._readings, self._reads, self._resized = {}, {}, {}

    @torch.no_grad()
    def read(self, network: MultiTaskNet, batch: Batch, indices: Tensor | None) -> Reading:
        """The requested taps and predictions of a network for some images of the batch.

        Args:
            network: One that was announced by `request`.
            batch: The batch of the enclosing `batch()` block.
            indices: The images, on the host; None: all.
        """
        assert self._depth, "read() is called in a `with passes.batch()` block: what it remembers is of one batch"
        request = self._requests[network]
        key = (network, None if indices is None else tuple(indices.tolist()))
        reading = self._readings.get(key)
        if reading is None:
            reading = self._cached(network, batch, indices, request) or self._run(network, batch.images, indices)
        self._reads[network] = self._reads.get(network, 0) + 1
        if self._reads[network] < request.readers:
            self._readings[key] = reading
        else:
            self._readings = {k: kept for k, kept in self._readings.items() if k[0] is not network}
        return reading

    def compute(self, network: MultiTaskNet, images: Tensor, tasks: Collection[str]) -> Output:
        """What a network computes for images in its size: its taps, and the predictions of some tasks."""
        output: Output = network(images, tasks=tasks)
        if not tasks or not self.mirrors(network):
            return output
        mirrored = network(images.flip(-1), tasks=tasks).predictions
        predictions = {t: (output.predictions[t] + self.tasks[t].mirrored(mirrored[t])) / 2 for t in tasks}
        return Output(predictions, output.taps)

    def _cached(self, network: MultiTaskNet, batch: Batch, indices: Tensor | None, request: _Request) -> Reading | None:
        """The same from the cache; None where it does not have all images."""
        rows = self.cached.get(network, {}).get(batch.source)
        output = None if rows is None else rows.read(batch, indices, request.taps, request.tasks)
        return None if output is None else Reading(output, _on_device(indices, batch.images))

    def _run(self, network: MultiTaskNet, images: Tensor, indices: Tensor | None) -> Reading:
        request = self._requests[network]
        if request.size is not None:  # once for all networks with this size
            if request.size not in self._resized:
                self._resized[request.size] = resize(images, request.size)
            images = self._resized[request.size]
        reading = Reading(Output({}, {}), _on_device(indices, images))
        self.fetch(network, images.device)
        output = self.compute(network, reading.select(images), list(request.tasks))
        reading.output = Output(output.predictions, {k: tap for k, tap in output.taps.items() if k in request.taps})
        return reading


def resize(images: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Images [B, 3, H, W] in the size that a teacher sees, bilinearly and without aliasing; None: as they are."""
    if size is None or tuple(images.shape[2:]) == tuple(size):
        return images
    return functional.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)


def _on_device(indices: Tensor | None, images: Tensor) -> Tensor | None:
    return None if indices is None else transfer(indices, images.device, True)
