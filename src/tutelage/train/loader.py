"""From samples to batches: what a step sees is a function of (seed, epoch, sample index) alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from tutelage.data import Augment, DataSource
from tutelage.train.config import TrainConfig
from tutelage.train.seed import derive
from tutelage.train.streams import Stream, Streams, labelled
from tutelage.types import Batch, Sample, Target, Task

Key = tuple[int, int]  # pass through the stream, sample index
Keys = tuple[int, list[Key]]  # stream, and the samples of one batch of it


class Views(Dataset[Batch]):
    """The batches of a run: of each sample the augmented view that belongs to the pass."""

    def __init__(
        self, streams: Sequence[Stream], tasks: Mapping[str, Task], augment: Augment | None = None, seed: int = 0
    ) -> None:
        self.streams, self.tasks, self.augment, self.seed = streams, tasks, augment, seed

    def __getitem__(self, keys: Keys) -> Batch:
        number, chosen = keys
        stream = self.streams[number]
        samples = [self.view(stream, key) for key in chosen]
        return make_batch(samples, self.tasks, stream.name, "id" if self.augment is None else "random")

    def view(self, stream: Stream, key: Key) -> Sample:
        """One sample of a stream."""
        epoch, index = key
        sample = Sample(**{**stream.samples[index], "id": index})
        if self.augment is None:
            return sample
        generator = torch.Generator().manual_seed(derive(self.seed, "view", *_name(self.streams, stream), epoch, index))
        return self.augment(sample, stream.modalities, generator)


class Order(Sampler[Keys]):
    """The keys of every batch from step `start` to the end of the run, in an order that depends on seed and pass.

    Of every part of a step, one batch a stream. No step has an image twice; with several draws a step a pass has fewer
    steps.
    """

    def __init__(self, streams: Streams, seed: int, start: int = 0) -> None:
        self.streams, self.seed = streams, seed
        self.start, self.stop = start * streams.parts, streams.steps * streams.parts

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
                chosen = orders[number][1][batch * size : (batch + 1) * size]
                yield number, [(turn, stream.index(int(i))) for i in chosen]


def _name(streams: Sequence[Stream], stream: Stream) -> tuple[str, ...]:
    """What tells the random numbers of several streams apart."""
    return (stream.name,) if len(streams) > 1 else ()


def make_batch(samples: Sequence[Sample], tasks: Mapping[str, Task], source: str = "", view: str = "id") -> Batch:
    """Stack samples; a task is in `targets` where at least one of them has its label."""
    images = torch.stack([sample["image"] for sample in samples])
    targets: dict[str, Target] = {}
    for t, task in tasks.items():
        labels = [sample["labels"].get(t) for sample in samples]
        if any(label is not None for label in labels):
            missing = task.missing(images[:1])[0]
            targets[t] = task.target(torch.stack([missing if label is None else label for label in labels]))
    ids = torch.tensor([sample.get("id", -1) for sample in samples])
    return Batch(images, targets, ids, source, view)


def training_loader(streams: Streams, tasks: Mapping[str, Task], seed: int, start: int = 0) -> DataLoader[Batch]:
    """The batches from step `start` to the end of the run: for each of a step's parts one a stream."""
    views = Views(streams.streams, tasks, streams.config.augment, seed)
    return _loader(views, Order(streams, seed, start), streams.config.workers)


def validation_loader(source: DataSource, tasks: Mapping[str, Task], config: TrainConfig) -> DataLoader[Batch]:
    """Every validation image that may have a label of `tasks` once, in order, as it is; source after source."""
    streams: list[Stream] = []
    order: list[Keys] = []
    for name, part in source.parts().items():
        if not any(t in part.source.modalities for t in tasks):
            continue
        samples = part.source.split("test")
        stream = Stream(samples, part.source.modalities, name, indices=labelled(samples, tasks))
        keys = [(0, stream.index(position)) for position in range(len(stream))]
        order += [(len(streams), keys[i : i + config.batch_size]) for i in range(0, len(keys), config.batch_size)]
        streams.append(stream)
    return _loader(Views(streams, tasks), order, config.workers)


def _loader(views: Views, order: Iterable[Keys], workers: int) -> DataLoader[Batch]:
    # What is looked up are whole batches, so that the loader has nothing left to batch.
    return DataLoader(views, batch_size=None, sampler=order, collate_fn=_as_it_is, num_workers=workers)


def _as_it_is(batch: Any) -> Any:
    return batch
