"""What a run trains on, and how long."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tutelage.data import DataSource, Modality, Samples
from tutelage.errors import UserError
from tutelage.train.config import TrainConfig


@dataclass
class Stream:
    """The training images of one source that a run looks at.

    Args:
        samples: of the source.
        modalities: by task: how its label is resized, flipped and scaled.
        name: of the source.
        weight: against the other streams; None: the number of images.
        indices: the samples that are looked at; None: all.
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


class Streams:
    """The streams of a run, and the steps and epochs that they make.

    Every step takes `draws` x `accumulate` batches of each stream. A batch of stream s has B_s images: the batch size
    in the proportion of the weights, rounded so that all together are the batch size and each has one at least. An
    epoch is the pass through the stream that takes longest, max_s floor(N_s / (B_s accumulate)) steps of N_s images;
    the others begin again, in another order, whenever they are through.

    Args:
        streams: one a source.
        config: the run's training.
        draws: independent batches that its balancer takes.

    Raises:
        ValueError: A stream has fewer images than a step takes, or the batch size is less than one a stream.
    """

    def __init__(self, streams: Sequence[Stream], config: TrainConfig, draws: int = 1) -> None:
        self.streams, self.config, self.draws = tuple(streams), config, draws
        if len(streams) > config.batch_size:
            raise UserError(
                f"train.batch_size: expected one image or more of each of the {len(streams)} sources, found "
                f"{config.batch_size}; raise it"
            )
        weights = [len(s) if s.weight is None else s.weight for s in streams]
        self.batch_sizes = _apportion(config.batch_size, weights)
        self.parts = config.accumulate * draws
        # Whole steps only: the images that do not fill a last step wait for the next pass's order.
        self.batches_per_pass = [
            _whole(s, size, self.parts) for s, size in zip(self.streams, self.batch_sizes, strict=True)
        ]
        alone = [_whole(s, size, config.accumulate) for s, size in zip(self.streams, self.batch_sizes, strict=True)]
        self.steps_per_epoch = max(alone) // config.accumulate
        self.scheduled = config.epochs * self.steps_per_epoch  # a schedule ignores max_steps
        self.steps = self.scheduled if config.max_steps is None else min(self.scheduled, config.max_steps)

    def __len__(self) -> int:
        return len(self.streams)


def select(source: DataSource, tasks: Collection[str], everything: bool = False) -> list[Stream]:
    """The streams of `source` for a run with `tasks`: without the images that are known to have no label of them.

    Args:
        source: of one part or of several.
        tasks: of the run.
        everything: Take all images: a teacher needs no label.
    """
    found = []
    for name, part in source.parts().items():
        samples = part.source.split("train")
        indices = None if everything else labelled(samples, tasks)
        stream = Stream(samples, part.source.modalities, name, part.weight, indices)
        if len(stream) and (everything or any(t in part.source.modalities for t in tasks)):
            found.append(stream)
    return found


def labelled(samples: Samples, tasks: Collection[str]) -> list[int] | None:
    """The samples that have a label of one of `tasks`, as far as is known; None: all of them."""
    has = (samples.tasks(index) for index in range(len(samples)))
    indices = [index for index, known in enumerate(has) if known is None or any(t in known for t in tasks)]
    return None if len(indices) == len(samples) else indices


def _apportion(total: int, weights: Sequence[float]) -> list[int]:
    """`total` in whole parts of at least 1, as near to the proportion of `weights` as can be (largest remainders)."""
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
        of = f" of `{stream.name}`" if stream.name else ""
        raise UserError(
            f"train.batch_size: expected at most the {len(stream)} training images{of}, found {batch_size} x {parts} a "
            "step; lower it or add images"
        )
    return batches
