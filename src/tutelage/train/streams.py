"""What a run trains on, and how long."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tutelage.data import DataSource, Modality, Samples
from tutelage.errors import UserError


@dataclass
class Stream:
    """The training images of one source that a run uses.

    Args:
        samples: of the source.
        modalities: by task: how its label is resized, flipped and scaled.
        name: of the source.
        weight: relative to the other streams; None: the number of images.
        indices: the samples that are used; None: all.
    """

    samples: Samples
    modalities: Mapping[str, Modality] = field(default_factory=dict)
    name: str = ""
    weight: float | None = None
    indices: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.samples) if self.indices is None else len(self.indices)

    def index(self, position: int) -> int:
        """The sample at a position of the stream."""
        return position if self.indices is None else self.indices[position]


@dataclass(frozen=True)
class RunLength:
    """How many steps a run has, and which batches each of them reads.

    Attributes:
        steps: after which the run ends.
        per_epoch: steps of an epoch.
        scheduled: steps that schedules span; more than `steps` where `max_steps` ends the run early.
        sources: batches of a part of a step: one per source.
        accumulate: parts of a step, or of one draw of it, whose gradients are added.
        draws: independent draws of batches per step.
    """

    steps: int
    per_epoch: int
    scheduled: int
    sources: int = 1
    accumulate: int = 1
    draws: int = 1

    @property
    def parts(self) -> int:
        """Parts of a step, of all draws."""
        return self.accumulate * self.draws


class Streams:
    """The streams of a run, and the steps and epochs that they add up to.

    Every step takes `draws` x `accumulate` batches of each stream. A batch of stream s has B_s images: the batch size
    in the proportion of the weights, rounded so that they add up to the batch size and each is at least one. An epoch
    is the longest pass through a stream, max_s floor(N_s / (B_s accumulate)) steps for N_s images; the other streams
    start again, in another order, whenever they are through.

    Args:
        streams: one per source.
        batch_size: images of one forward of all streams together.
        epochs: of the run.
        accumulate: forwards per step.
        max_steps: after which the run ends at the latest.
        draws: independent batches that the balancer takes per step.

    Attributes:
        length: of the run.

    Raises:
        UserError: A stream has fewer images than a step takes, or there are more streams than images in a batch.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        batch_size: int,
        epochs: int = 1,
        accumulate: int = 1,
        max_steps: int | None = None,
        draws: int = 1,
    ) -> None:
        self.streams = tuple(streams)
        if len(streams) > batch_size:
            raise UserError(
                f"train.batch_size: expected one image or more of each of the {len(streams)} sources, found "
                f"{batch_size}; raise it"
            )
        weights = [len(s) if s.weight is None else s.weight for s in streams]
        self.batch_sizes = _apportion(batch_size, weights)
        # Whole steps only: the images that do not fill a last step wait for the next pass's order.
        self.batches_per_pass = [
            _whole(s, size, accumulate * draws) for s, size in zip(self.streams, self.batch_sizes, strict=True)
        ]
        passes = [_whole(s, size, accumulate) for s, size in zip(self.streams, self.batch_sizes, strict=True)]
        per_epoch = max(passes) // accumulate
        scheduled = epochs * per_epoch
        steps = scheduled if max_steps is None else min(scheduled, max_steps)
        self.length = RunLength(steps, per_epoch, scheduled, len(streams), accumulate, draws)

    def __len__(self) -> int:
        return len(self.streams)


def select(source: DataSource, tasks: Collection[str], everything: bool = False) -> list[Stream]:
    """The streams of `source` for a run with `tasks`.

    Args:
        source: one source, or several as one.
        tasks: of the run.
        everything: Take all images, since a teacher needs no label; otherwise those that are known to have no label of
            `tasks` are left out.
    """
    streams = []
    for name, part in source.parts().items():
        samples = part.source.decoded("train")
        indices = None if everything else possibly_labelled(samples, tasks)
        stream = Stream(samples, part.source.modalities, name, part.weight, indices)
        if len(stream) and (everything or any(t in part.source.modalities for t in tasks)):
            streams.append(stream)
    return streams


def possibly_labelled(samples: Samples, tasks: Collection[str]) -> list[int] | None:
    """The samples that may have a label of one of `tasks`, before any is read; None: all of them."""
    names = (samples.tasks(index) for index in range(len(samples)))
    indices = [
        index for index, of_sample in enumerate(names) if of_sample is None or any(t in of_sample for t in tasks)
    ]
    return None if len(indices) == len(samples) else indices


def _apportion(total: int, weights: Sequence[float]) -> list[int]:
    """`total` in whole parts of at least 1, in the proportion of `weights` as closely as possible.

    By largest remainders.
    """
    spare = total - len(weights)
    shares = [total * weight / sum(weights) for weight in weights]
    over = [max(share - 1, 0.0) for share in shares]
    exact = [x * spare / max(sum(over), 1e-12) for x in over]
    parts = [int(x) for x in exact]
    order = sorted(range(len(weights)), key=lambda i: (parts[i] - exact[i], i))
    for i in order[: spare - sum(parts)]:
        parts[i] += 1
    return [1 + part for part in parts]


def _whole(stream: Stream, batch_size: int, parts: int) -> int:
    batches = len(stream) // (batch_size * parts) * parts
    if batches == 0:
        name = f" of `{stream.name}`" if stream.name else ""
        raise UserError(
            f"train.batch_size: expected at most the {len(stream)} training images{name}, found {batch_size} x {parts} "
            "per step; lower it or add images"
        )
    return batches
