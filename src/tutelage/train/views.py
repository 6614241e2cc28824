"""From the samples of a batch to the batch: every view is a function of (seed, epoch, sample index) alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import Dataset

from tutelage.data import Augment, Window
from tutelage.data.base import Split
from tutelage.data.packed import Packed
from tutelage.errors import UserError
from tutelage.train.distort import Distortion
from tutelage.train.seed import derive
from tutelage.train.streams import Stream
from tutelage.types import Batch, Sample, StackedLabels, Target, Task, ViewKey

Key = tuple[int, int]  # pass through the stream, sample index
Keys = tuple[int, list[Key]]  # stream, and the samples of one batch of it


@dataclass(frozen=True)
class PackedBatch:
    """What a batch is made of on the device on which it is needed.

    Attributes:
        samples: as they are stored.
        windows: what is shown of each; () shows the samples as they are.
        views: the keys of what is shown.
        stream: the number of the stream that they come from.
    """

    samples: Packed
    windows: tuple[Window, ...]
    views: tuple[ViewKey, ...]
    stream: int

    def map(self, change: Callable[[Tensor], Tensor]) -> "PackedBatch":
        """The same with all tensors changed, for example moved."""
        return replace(self, samples=self.samples.map(change))


class Views(Dataset[Batch | PackedBatch]):
    """The batches of a run, of views that depend on seed, pass and sample alone.

    Args:
        streams: of the run.
        tasks: whose labels are read.
        augment: draws and shows the views; None shows the samples as they are.
        seed: of the run.
        split: that the samples belong to.
        packed: Leave the batches to `finish`, where they can be left: to make them on another device.
        distort: makes what networks in training see of the images; None: the images.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        tasks: Mapping[str, Task],
        augment: Augment | None = None,
        seed: int = 0,
        split: Split = "train",
        packed: bool = False,
        distort: Distortion | None = None,
    ) -> None:
        self.streams, self.tasks, self.augment, self.seed, self.split = streams, tasks, augment, seed, split
        self.packed, self.distort = packed, distort

    def __getitem__(self, keys: Keys) -> Batch | PackedBatch:
        number, chosen = keys
        stream = self.streams[number]
        if not chosen:  # one of several processes has no image of this batch
            return Batch(torch.empty(0), {}, source=stream.name)
        try:
            return self._batch(number, stream, chosen)
        except (
            UserError,
            RuntimeError,
        ) as error:  # of samples that are no longer what they were when they were checked
            self._name_changed(stream, [index for _, index in chosen], error)
            raise

    def _batch(self, number: int, stream: Stream, chosen: Sequence[Key]) -> Batch | PackedBatch:
        if not self._takes_batches(stream):
            batch = make_batch([self.view(stream, key) for key in chosen], self.tasks, stream.name)
            return replace(batch, distorted=self._distorted(batch.images, stream, chosen))
        packed = self._pack(number, stream, chosen)
        # Fixed views are made on the host on every machine: the cache of the teachers is filled with their very bits.
        fixed = self.augment is not None and self.augment.views is not None
        return packed if self.packed and not fixed else self.finish(packed)

    def _name_changed(self, stream: Stream, indices: Sequence[int], error: Exception) -> None:
        """Raise a UserError that names the sample of a batch that does not fit its tasks, or the others, if one is."""
        samples = {index: stream.samples[index] for index in indices}
        shape = samples[indices[0]]["image"].shape
        for index, sample in samples.items():
            for t, label in sample["labels"].items():
                problem = self.tasks[t].validate(label, sample["image"]) if t in self.tasks else None
                if problem is not None:
                    raise UserError(f"{stream.samples.where(index, t)}: {problem}") from error
            if sample["image"].shape != shape:
                found, first = ("x".join(map(str, x[1:])) for x in (sample["image"].shape, shape))
                raise UserError(
                    f"{stream.samples.where(index)}: expected the size of {stream.samples.where(indices[0])}, {first}, "
                    f"found {found}; it has changed since the data were checked, start again"
                ) from error

    def finish(self, packed: PackedBatch, fetch: Callable[[Tensor], Tensor] = Tensor.cpu) -> Batch:
        """The batch of what is packed, on its device; on a CPU bit for bit that of single samples.

        Args:
            packed: of this dataset.
            fetch: brings to the host which images have labels, and how many positions.
        """
        stream, samples = self.streams[packed.stream], packed.samples
        if packed.windows:
            assert self.augment is not None
            samples = self.augment.batch(samples, packed.windows, stream.modalities)
        samples = samples.decode()
        images = samples.images.values
        targets: dict[str, Target] = {}
        for t, task in self.tasks.items():
            if (labels := samples.labels.get(t)) is not None:
                targets[t] = task.collate(StackedLabels(labels.values, labels.present), images)
        labelled = {t: fetch(target.labelled()) for t, target in targets.items()}
        counts = {t: fetch(target.count()) for t, target in targets.items()}
        distorted = self._distorted(images, stream, [(view.epoch, view.index) for view in packed.views])
        return Batch(images, targets, packed.views, stream.name, labelled, counts, distorted)

    def _distorted(self, images: Tensor, stream: Stream, keys: Sequence[Key]) -> Tensor | None:
        """What networks in training see of the images, on their device; None: the images."""
        if not self.distort:
            return None
        name = stream_name(self.streams, stream)
        return self.distort(images, [derive(self.seed, "distort", *name, *key) for key in keys])

    def view(self, stream: Stream, key: Key) -> Sample:
        """One sample of a stream, with the key of its view."""
        index = key[1]
        sample = Sample(**{**stream.samples[index], "view": self._key(key)})
        if self.augment is None:
            return sample
        return self.augment(sample, stream.modalities, self._generator(stream, key))

    def _takes_batches(self, stream: Stream) -> bool:
        """Whether the samples are of one kind that can be stacked, and the augmentation shows nothing of its own."""
        kinds = [stream.modalities[t] for t in self.tasks if t in stream.modalities]
        if len(self.streams) == 1 and len(kinds) < len(self.tasks):  # labels of a kind that nobody has named
            return False
        if self.augment is not None:
            return self.augment.takes_batches(kinds)
        return all(kind.batched for kind in kinds)

    def _pack(self, number: int, stream: Stream, chosen: Sequence[Key]) -> PackedBatch:
        tasks = [t for t in self.tasks if t in stream.modalities]
        samples = stream.samples.pack([index for _, index in chosen], tasks)
        views = tuple(self._key(key) for key in chosen)
        if self.augment is None:
            return PackedBatch(samples, (), views, number)
        height, width = samples.images.values.shape[2:]
        windows = tuple(self.augment.draw((height, width), self._generator(stream, key)) for key in chosen)
        named = tuple(self.augment.name(view, window) for view, window in zip(views, windows, strict=True))
        return PackedBatch(samples, windows, named, number)

    def _key(self, key: Key) -> ViewKey:
        epoch, index = key
        # Not exact, unless the augmentation says that it is: it may have changed anything.
        exact, number = self.augment is None, self._number(epoch, index)
        return ViewKey(index, epoch, self.seed, exact=exact, split=self.split, number=number)

    def _generator(self, stream: Stream, key: Key) -> torch.Generator:
        """The source of all randomness in a view."""
        epoch, index = key
        if (number := self._number(epoch, index)) is None:
            seed = derive(self.seed, "view", *stream_name(self.streams, stream), epoch, index)
        else:  # of no run and no number of streams, so that all runs of a study share the view
            seed = derive("fixed view", index, number)
        return torch.Generator().manual_seed(seed)

    def _number(self, epoch: int, index: int) -> int | None:
        """Which of the fixed views of its image a view is: all of them in turn, from one that the seed chooses."""
        if self.augment is None or self.augment.views is None:
            return None
        return (epoch + derive(self.seed, "first view", index)) % self.augment.views


def stream_name(streams: Sequence[Stream], stream: Stream) -> tuple[str, ...]:
    """What makes the random numbers of several streams differ."""
    return (stream.name,) if len(streams) > 1 else ()


def make_batch(samples: Sequence[Sample], tasks: Mapping[str, Task], source: str = "") -> Batch:
    """Stack samples; `targets` has the tasks of which at least one sample has a label."""
    images = torch.stack([sample["image"] for sample in samples])
    targets: dict[str, Target] = {}
    for t, task in tasks.items():
        labels = [sample["labels"].get(t) for sample in samples]
        if any(label is not None for label in labels):
            targets[t] = task.collate(labels, images)
    views = tuple(sample["view"] for sample in samples if "view" in sample)
    return Batch(images, targets, views if len(views) == len(samples) else (), source)
