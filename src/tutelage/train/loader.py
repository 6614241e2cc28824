"""From samples to batches: what a step sees is a function of (seed, epoch, sample index) alone."""

import signal
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from tutelage.data import DataSource
from tutelage.train.config import TrainConfig
from tutelage.train.distort import Distortion
from tutelage.train.prefetch import Prefetcher
from tutelage.train.seed import derive
from tutelage.train.streams import Stream, Streams, possibly_labelled
from tutelage.train.views import Keys, Views, stream_name
from tutelage.types import Batch, Task, World

_CPU = torch.device("cpu")
_GRACE = 60  # seconds that a worker goes on after SIGTERM


class Order(Sampler[Keys]):
    """The keys of every batch from step `start` to the end of the run, in an order that depends on seed and pass.

    Every part of a step has one batch per stream. No image occurs twice in a step; with several draws per step a pass
    has fewer steps. Of several processes each has its slice of every batch, which may be empty.
    """

    def __init__(self, streams: Streams, seed: int, start: int = 0, world: World | None = None) -> None:
        self.streams, self.seed, self.world = streams, seed, world or World()
        length = streams.length
        self.start, self.stop = start * length.parts, length.steps * length.parts

    def __len__(self) -> int:
        return (self.stop - self.start) * len(self.streams)

    def __iter__(self) -> Iterator[Keys]:
        streams = self.streams
        numbered = list(enumerate(zip(streams.streams, streams.batch_sizes, streams.batches_per_pass, strict=True)))
        orders: dict[int, tuple[int, torch.Tensor]] = {}  # stream -> pass and its permutation
        for position in range(self.start, self.stop):
            for number, (stream, size, batches_per_pass) in numbered:
                turn, batch = divmod(position, batches_per_pass)
                if number not in orders or orders[number][0] != turn:
                    name = stream_name(streams.streams, stream)
                    generator = torch.Generator().manual_seed(derive(self.seed, "order", *name, turn))
                    orders[number] = turn, torch.randperm(len(stream), generator=generator)
                chosen = orders[number][1][batch * size : (batch + 1) * size][self.world.part(size)]
                yield number, [(turn, stream.index(int(i))) for i in chosen]


def training_loader(
    streams: Streams,
    tasks: Mapping[str, Task],
    config: TrainConfig,
    seed: int,
    start: int = 0,
    world: World | None = None,
    device: torch.device = _CPU,
) -> Iterable[Batch]:
    """The batches from step `start` to the end of the run: one per stream for each part of a step.

    Of several processes each has its slice of every batch. If `device` is a GPU, they are on it, one batch ahead, and
    are augmented there, but for fixed views.
    """
    distort = Distortion(config.distort)
    views = Views(streams.streams, tasks, config.augment, seed, packed=device.type == "cuda", distort=distort)
    return _loader(views, Order(streams, seed, start, world), config.workers, device)


def validation_loader(
    source: DataSource,
    tasks: Mapping[str, Task],
    config: TrainConfig,
    world: World | None = None,
    device: torch.device = _CPU,
) -> Iterable[Batch]:
    """Every image of `test` that may have a label of `tasks`, once, in order and unchanged; source after source.

    Of several processes each has the images of its slice of every batch, so that together they have each once. If
    `device` is a GPU, they are on it, one batch ahead.
    """
    streams: list[Stream] = []
    order: list[Keys] = []
    for name, part in source.parts().items():
        if not any(t in part.source.modalities for t in tasks):
            continue
        samples = part.source.decoded("test")
        stream = Stream(samples, part.source.modalities, name, indices=possibly_labelled(samples, tasks))
        keys = [(0, stream.index(position)) for position in range(len(stream))]
        batches = [keys[i : i + config.batch_size] for i in range(0, len(keys), config.batch_size)]
        own = [batch if world is None else batch[world.part(len(batch))] for batch in batches]
        order += [(len(streams), batch) for batch in own if batch]
        streams.append(stream)
    views = Views(streams, tasks, split="test", packed=device.type == "cuda")
    return _loader(views, order, config.workers, device)


def _loader(views: Views, order: Iterable[Keys], workers: int, device: torch.device) -> Iterable[Batch]:
    # `views` yields whole batches, so that the loader has nothing left to batch.
    start = _outlive_signals if workers else None
    loader: DataLoader[Any] = DataLoader(
        views, batch_size=None, sampler=order, collate_fn=_unchanged, num_workers=workers, worker_init_fn=start
    )
    return Prefetcher(loader, views.finish, device) if device.type == "cuda" else loader


def _unchanged(batch: Any) -> Any:
    return batch


def _outlive_signals(worker: int) -> None:
    """Let a worker go on for a minute after SIGTERM, and ignore SIGINT.

    Both reach the whole group of processes, and the training process finishes a step before it stops: a worker that
    ended at once would end it in the middle.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(_GRACE))
