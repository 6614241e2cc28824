"""From samples to batches: what a step sees is a function of (seed, epoch, sample index) alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from tutelage.data import Augment, Modality, Samples
from tutelage.train.config import TrainConfig
from tutelage.train.seed import derive
from tutelage.types import Batch, Sample, Target, Task

Key = tuple[int, int]  # epoch, sample index


class Views(Dataset[Sample]):
    """The augmented view of a sample that belongs to an epoch."""

    def __init__(
        self, dataset: Samples, modalities: Mapping[str, Modality], augment: Augment | None, seed: int
    ) -> None:
        self.dataset, self.modalities, self.augment, self.seed = dataset, modalities, augment, seed

    def __getitem__(self, key: Key) -> Sample:
        epoch, index = key
        sample = Sample(**{**self.dataset[index], "id": index})
        if self.augment is None:
            return sample
        generator = torch.Generator().manual_seed(derive(self.seed, "view", epoch, index))
        return self.augment(sample, self.modalities, generator)


class Order(Sampler[list[Key]]):
    """The keys of every batch from `start` to the end of the run, in an order that depends on seed and epoch."""

    def __init__(self, images: int, batch_size: int, batches_per_epoch: int, start: int, stop: int, seed: int) -> None:
        self.images, self.batch_size, self.batches_per_epoch = images, batch_size, batches_per_epoch
        self.start, self.stop, self.seed = start, stop, seed

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[Key]]:
        permuted, order = -1, torch.empty(0)
        for position in range(self.start, self.stop):
            epoch, batch = divmod(position, self.batches_per_epoch)
            if epoch != permuted:
                generator = torch.Generator().manual_seed(derive(self.seed, "order", epoch))
                permuted, order = epoch, torch.randperm(self.images, generator=generator)
            yield [(epoch, int(i)) for i in order[batch * self.batch_size : (batch + 1) * self.batch_size]]


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


@dataclass
class _Collate:
    tasks: Mapping[str, Task]
    source: str
    view: str

    def __call__(self, samples: list[Sample]) -> Batch:
        return make_batch(samples, self.tasks, self.source, self.view)


def training_loader(
    dataset: Samples,
    modalities: Mapping[str, Modality],
    tasks: Mapping[str, Task],
    config: TrainConfig,
    seed: int,
    start: int = 0,
    source: str = "",
    draws: int = 1,
) -> DataLoader[Batch]:
    """The batches from step `start` to the end of the run, `draws * config.accumulate` of them a step.

    The order goes on through the images, so that with several draws a step a pass over them has fewer steps; no step
    has an image twice.
    """
    images = len(dataset)
    parts = config.accumulate * draws
    whole = config.batches_per_pass(images, draws)
    order = Order(images, config.batch_size, whole, start * parts, config.steps(images) * parts, seed)
    views = Views(dataset, modalities, config.augment, seed)
    collate = _Collate(tasks, source, "id" if config.augment is None else "random")
    loader = DataLoader(views, batch_sampler=order, collate_fn=collate, num_workers=config.workers)
    return cast("DataLoader[Batch]", loader)


def validation_loader(
    dataset: Samples, tasks: Mapping[str, Task], config: TrainConfig, source: str = ""
) -> DataLoader[Batch]:
    """Every image once, in order, as it is."""
    collate = _Collate(tasks, source, "id")
    loader = DataLoader(dataset, config.batch_size, collate_fn=collate, num_workers=config.workers)
    return cast("DataLoader[Batch]", loader)
