"""From samples to batches: what a step sees is a function of (seed, epoch, sample index) alone."""

import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from tutelage.data import Augment, DataSource
from tutelage.data.base import Split
from tutelage.train.config import TrainConfig
from tutelage.train.seed import derive
from tutelage.train.streams import Stream, Streams, possibly_labelled
from tutelage.types import Batch, Sample, Target, Task, ViewKey, World

_GRACE = 60  # seconds that a worker goes on after SIGTERM
Key = tuple[int, int]  # pass through the stream, sample index
Keys = tuple[int, list[Key]]  # stream, and the samples of one batch of it


class Views(Dataset[Batch]):
    """The batches of a run, of views that depend on seed, pass and sample alone."""

    def __init__(
        self,
        streams: Sequence[Stream],
        tasks: Mapping[str, Task],
        augment: Augment | None = None,
        seed: int = 0,
        split: Split = "train",
    ) -> None:
        self.streams, self.tasks, self.augment, self.seed, self.split = streams, tasks, augment, seed, split

    def __getitem__(self, keys: Keys) -> Batch:
        number, chosen = keys
        stream = self.streams[number]
        samples = [self.view(stream, key) for key in chosen]
        return make_batch(samples, self.tasks, stream.name)

    def view(self, stream: Stream, key: Key) -> Sample:
        """One sample of a stream, with the key of its view."""
        epoch, index = key
        number = self._number(epoch, index)
        # Not exact, unless the augmentation says that it is: it may have changed anything.
        view = ViewKey(index, epoch, self.seed, exact=self.augment is None, split=self.split, number=number)
        sample = Sample(**{**stream.samples[index], "view": view})
        if self.augment is None:
            return sample
        if number is None:
            seed = derive(self.seed, "view", *_name(self.streams, stream), epoch, index)
        else:  # of no run and no number of streams, so that all runs of a study share the view
            seed = derive("fixed view", index, number)
        return self.augment(sample, stream.modalities, torch.Generator().manual_seed(seed))

    def _number(self, epoch: int, index: int) -> int | None:
        """Which of the fixed views of its image a view is: all of them in turn, from one that the seed chooses."""
        if self.augment is None or self.augment.views is None:
            return None
        return (epoch + derive(self.seed, "first view", index)) % self.augment.views


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
                    name = _name(streams.streams, stream)
                    generator = torch.Generator().manual_seed(derive(self.seed, "order", *name, turn))
                    orders[number] = turn, torch.randperm(len(stream), generator=generator)
                chosen = orders[number][1][batch * size : (batch + 1) * size][self.world.part(size)]
                yield number, [(turn, stream.index(int(i))) for i in chosen]


def _name(streams: Sequence[Stream], stream: Stream) -> tuple[str, ...]:
    """What makes the random numbers of several streams differ."""
    return (stream.name,) if len(streams) > 1 else ()


def make_batch(samples: Sequence[Sample], tasks: Mapping[str, Task], source: str = "") -> Batch:
    """Stack samples; `targets` has the tasks of which at least one sample has a label."""
    if not samples:  # one of several processes has no image of this batch
        return Batch(torch.empty(0), {}, source=source)
    images = torch.stack([sample["image"] for sample in samples])
    targets: dict[str, Target] = {}
    for t, task in tasks.items():
        labels = [sample["labels"].get(t) for sample in samples]
        if any(label is not None for label in labels):
            targets[t] = task.collate(labels, images)
    views = tuple(sample["view"] for sample in samples if "view" in sample)
    return Batch(images, targets, views if len(views) == len(samples) else (), source)


def training_loader(
    streams: Streams,
    tasks: Mapping[str, Task],
    config: TrainConfig,
    seed: int,
    start: int = 0,
    world: World | None = None,
) -> DataLoader[Batch]:
    """The batches from step `start` to the end of the run: one per stream for each part of a step."""
    views = Views(streams.streams, tasks, config.augment, seed)
    return _loader(views, Order(streams, seed, start, world), config.workers)


def validation_loader(
    source: DataSource, tasks: Mapping[str, Task], config: TrainConfig, world: World | None = None
) -> DataLoader[Batch]:
    """Every image of `test` that may have a label of `tasks`, once, in order and unchanged; source after source.

    Of several processes each has the images of its slice of every batch, so that together they have each once.
    """
    streams: list[Stream] = []
    order: list[Keys] = []
    for name, part in source.parts().items():
        if not any(t in part.source.modalities for t in tasks):
            continue
        samples = part.source.split("test")
        stream = Stream(samples, part.source.modalities, name, indices=possibly_labelled(samples, tasks))
        keys = [(0, stream.index(position)) for position in range(len(stream))]
        batches = [keys[i : i + config.batch_size] for i in range(0, len(keys), config.batch_size)]
        own = [batch if world is None else batch[world.part(len(batch))] for batch in batches]
        order += [(len(streams), batch) for batch in own if batch]
        streams.append(stream)
    return _loader(Views(streams, tasks, split="test"), order, config.workers)


def _loader(views: Views, order: Iterable[Keys], workers: int) -> DataLoader[Batch]:
    # `views` yields whole batches, so that the loader has nothing left to batch.
    start = _outlive_signals if workers else None
    return DataLoader(
        views, batch_size=None, sampler=order, collate_fn=_unchanged, num_workers=workers, worker_init_fn=start
    )


def _unchanged(batch: Any) -> Any:
    return batch


def _outlive_signals(worker: int) -> None:
    """Let a worker go on for a minute after SIGTERM, and ignore SIGINT.

    Both reach the whole group of processes, and the training process finishes a step before it stops: a worker that
    ended at once would end it in the middle.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(_GRACE))
