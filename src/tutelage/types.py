"""What flows between the rooms of the house, and the base class of what each room builds.

A training step reads a `Batch`, the student turns its images into an `Output`, tasks and distiller turn both into
`Terms`, and the balancer turns those into gradients. No room but `train` sees more than two of these steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, NotRequired, Protocol, Self, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchmetrics import Metric

MetricProtocol = Literal["dataset", "image"]  # what a metric averages over; see `metrics`
Teach = Literal["own", "all"]
Picture = npt.NDArray[np.uint8]  # [H, W, 3]
Colour = tuple[int, int, int]  # red, green, blue in 0..255


class DeterministicWarning(UserWarning):
    """A slower operation was taken because torch is in deterministic mode: `operation: what was taken in its place`."""


class Sample(TypedDict):
    """What a dataset yields. A task's label may be absent: that is a normal case, never an error."""

    image: Tensor  # [3, H, W], RGB, float32 in 0..1
    labels: dict[str, Tensor]  # task name -> label, as the task's `target` expects it: dense, or [] or [D] of the whole
    id: NotRequired[int]


@dataclass
class Target:
    """A label and where it counts.

    Where `valid` is False, `value` may hold anything; a missing label is all False.
    """

    value: Tensor  # dense: [B, H, W] classes or [B, C, H, W] values; of the whole image: [B] or [B, C]
    valid: Tensor  # bool, one a position: dense [B, H, W]; of the whole image [B], or [B, C] where a part may be known


@dataclass
class Batch:
    """Images of one source with the targets they have. `ids` and `view` identify what the network sees.

    Attributes:
        labelled: Task -> bool [B]: the images with a label that is valid somewhere. It stays on the host, so that
            nobody waits for a GPU to learn what there is to do.
    """

    images: Tensor  # [B, 3, H, W], float32 in 0..1
    targets: dict[str, Target]
    ids: Tensor  # [B], int64: the index in the source
    source: str = ""
    view: str = "id"  # "id": the image as it is; "random": an augmentation that no cache can reproduce
    labelled: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for t, target in self.targets.items():
            if t not in self.labelled:
                self.labelled[t] = target.valid.flatten(1).any(1).cpu() if target.valid.ndim > 1 else target.valid.cpu()

    def to(self, device: torch.device, memory_format: torch.memory_format = torch.contiguous_format) -> "Batch":
        """Copy to `device`; only the images take the memory format."""
        images = self.images.to(device, memory_format=memory_format, non_blocking=True)
        targets = {
            t: Target(x.value.to(device, non_blocking=True), x.valid.to(device, non_blocking=True))
            for t, x in self.targets.items()
        }
        return replace(self, images=images, targets=targets, ids=self.ids.to(device, non_blocking=True))


@dataclass  # not frozen: libraries rebuild it
class Output:
    """What a network gives: raw predictions, and the features that distillation and balancing work on."""

    predictions: dict[str, Tensor]  # raw head outputs; the task activates them
    taps: dict[str, Tensor | dict[str, Tensor]]  # one feature shared by all tasks, or one per task (MTAN)
    # What the heads read, and nothing else does: the cheap boundary of representation gradients; () = none. Where one
    # is computed from another, the heads read an alias of it (`x.view_as(x)`), and that is what stands here.
    shared: tuple[Tensor, ...] = ()
    # In training: more predictions of a task, made on the way, whose losses are added to its loss (PAD-Net, MTI-Net);
    # and scalars that a network adds to a task's loss (DSelect-k).
    auxiliary: dict[str, list[Tensor]] = field(default_factory=dict)
    penalties: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Term:
    """A part of the objective as (sum, count), so that parts of a step can be added before they are divided."""

    sum: Tensor
    count: Tensor

    def __add__(self, other: "Term") -> "Term":
        return Term(self.sum + other.sum, self.count + other.count)

    def __iter__(self) -> Iterator[Tensor]:
        yield self.sum
        yield self.count

    def detach(self) -> "Term":
        """The same without a graph."""
        return Term(self.sum.detach(), self.count)

    def mean(self) -> Tensor:
        """sum / count, and 0 (with zero gradient) where nothing was counted."""
        return self.sum / self.count.clamp(min=1)


class TermMap(dict[str, Term]):
    """Terms by task; a task that is not there counts as nothing."""

    def __missing__(self, key: str) -> Term:
        return Term(torch.tensor(0.0), torch.tensor(0))

    def __iadd__(self, other: Mapping[str, Term]) -> Self:
        for key, term in other.items():
            self[key] = self[key] + term
        return self


@dataclass
class Terms:
    """The objective of a step: l_t of every task, and lambda_t d_t of every distilled task."""

    task: TermMap = field(default_factory=TermMap)
    distill: TermMap = field(default_factory=TermMap)


class Reduce(Protocol):
    """Replaces the counts of a part of a step by those of the whole step (accumulated parts, other processes)."""

    share: float  # the part of the step that one backward is: 1 without accumulation
    draw: int = 0  # which of the independent draws of a step, for a balancer that asks for several

    def __call__(self, terms: Terms) -> Terms:
        """The same sums, over the counts of the whole step."""


class MetricInfo(NamedTuple):
    """How a metric reads: its unit and which way is better."""

    unit: str  # "%", "m", "deg", "" for a ratio
    higher_is_better: bool


class Task(ABC):
    """What one task is, apart from any network and any weight."""

    width: int  # channels of the head's raw output
    main: str  # the metric that stands for the task in Delta
    metric_info: Mapping[str, MetricInfo]  # in the order of the tables
    regression: bool  # True where the uncertainty weighting takes a continuous likelihood (c = 2)
    contents: frozenset[str] = frozenset()  # what labels may hold, as `data.Modality.content` says; empty: anything
    requirement = "a value"  # what `is_sufficient` asks of a split, for messages

    @abstractmethod
    def target(self, label: Tensor) -> Target:
        """The target of stacked labels [B, ...], with their valid positions."""

    @abstractmethod
    def missing(self, images: Tensor) -> Tensor:
        """A label of the right shape for `images` [B, 3, H, W] whose `target` is valid nowhere."""

    def validate(self, label: Tensor) -> str | None:
        """What is wrong with one label (no batch dimension): "expected ..., found ...; what to do". None: nothing."""
        return None

    def is_sufficient(self, target: Target) -> bool:
        """Whether a target has what no split may lack altogether: a valid position, by default."""
        return bool(target.valid.any())

    @abstractmethod
    def activate(self, raw: Tensor) -> Tensor:
        """From the head's raw output to what the metrics and `draw` read, in fp32."""

    @abstractmethod
    def loss(self, raw: Tensor, target: Target) -> Term:
        """The loss summed over the valid positions, in fp32, and their number, `target.valid.sum()`."""

    def distillation_loss(self, raw: Tensor, taught: Tensor, temperature: float = 1.0) -> Term:
        """The loss with a teacher's raw output in place of the label, summed over all positions, and their number.

        By default `loss` against the activated `taught`; `temperature` is for outputs that are logits.
        """
        value = self.activate(taught.detach())
        valid = torch.ones(value.shape[:1] + value.shape[2:], dtype=torch.bool, device=value.device)
        return self.loss(raw, Target(value, valid))

    @abstractmethod
    def metrics(self, protocol: MetricProtocol) -> Metric:
        """A metric with `update(activate(raw), target)`; `compute()` gives {name: scalar} in the order of
        `metric_info`."""

    @abstractmethod
    def draw(self, value: Tensor, valid: Tensor | None = None) -> Picture:
        """A picture of one activated prediction or target value (no batch dimension); invalid positions black."""

    def legend(self) -> list[tuple[str, Colour]]:
        """What the colours of `draw` mean, where that can be said in a list."""
        return []


class MultiTaskNet(nn.Module, ABC):
    """A network with one head a task. It knows widths and taps; it knows no loss, no device and no file.

    Every network of ours names its deepest shared feature `bottleneck` and the last one before the heads `last`, so
    that a method can name a tap without knowing the network.
    """

    @abstractmethod
    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and every tap, for images [B, 3, H, W]."""

    @abstractmethod
    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """The parameters that only `task` uses."""

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters that two tasks or more use; those of a single-task network are its task's by name only."""


class Distiller(nn.Module, ABC):
    """Adds the student's distance from its teachers, in adapted features or in predictions.

    It owns the teachers (frozen, always in eval mode, absent from `state_dict`) and the adaptors. Its terms have keys:
    the name of a teacher, or `teacher/task` for a term of one task of a teacher of several. By default there is one
    teacher per task, named after it.

    Attributes:
        uses_predictions: Whether it reads the student's predictions.
        teach: `own` if every teacher sees only the images with a label of one of its tasks; `all` if one sees images
            without, since a teacher needs no label.
    """

    uses_predictions = False
    teach: Teach = "all"

    @property
    def predicts_unlabelled(self) -> bool:
        """Whether it may read the student's prediction of a task of which a batch has no label."""
        return self.uses_predictions and self.teach == "all"

    def setup(self, tasks: Mapping[str, Task]) -> None:
        """Learn of the tasks; called once, before training."""

    def begin_step(self, progress: float, observed: bool) -> None:
        """Before every step: the part of the run that is done, in [0, 1), and whether `health` is read after it."""

    def calibrate(self, images: Callable[[tuple[str, ...] | None], Iterable[Tensor]]) -> None:
        """Estimate what is estimated once, before training.

        Args:
            images: `images(tasks)` gives batches of training images with a label of one of `tasks`; None: of all.
        """

    def teaches(self) -> Mapping[str, tuple[str, ...]]:
        """{key of a term: the tasks that it counts for}, in the order of the terms; a key that is absent is a task."""
        return {}

    @abstractmethod
    def counts(self, batch: Batch) -> dict[str, int]:
        """{key: number of images of a batch that the term counts}; known without waiting for a GPU."""

    @abstractmethod
    def forward(self, batch: Batch, output: Output) -> TermMap:
        """{key: (sum over images of lambda_t d_t, number of images)}, computed in fp32 outside autocast.

        A term that counts no image of the batch is absent.
        """

    @abstractmethod
    def distances(self) -> dict[str, Tensor]:
        """{"key/tap": d without lambda, detached: the mean over the images since `begin_step`}: for the log."""

    def health(self) -> dict[str, Tensor]:
        """{"quantity/key/tap": value} of an observed step, for the log: what shows whether distillation works."""
        return {}


class Balancer(nn.Module, ABC):
    """How several losses become one update.

    Its state is in `state_dict`; no plain attribute changes while training, but for what `begin_step` sets anew in
    every step.
    """

    whole_step = False  # True: needs all losses of a step in one `backward`, so no accumulation
    draws = 1  # independent batches that a step takes

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Create what depends on what is trained; called once, before the optimisers are built."""

    def begin_step(self, progress: float) -> None:
        """Before every step: the part of the run that is done, in [0, 1)."""

    def boundary(self, output: Output) -> Output:
        """What the distiller reads of an output: by default all of it as it is."""
        return output

    @abstractmethod
    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Add the gradient of the balanced objective to `.grad`, for one part of a step.

        Returns:
            The weight of every task, detached; of those alone that are known by now.
        """

    def finish(self) -> dict[str, Tensor]:
        """After the last part of a step: complete `.grad`, and return the weights that are known only now."""
        return {}

    def after_step(self, again: Callable[[bool], Terms]) -> None:
        """After the optimisers' step; `again(distilled)` gives the terms of the same batches under the new parameters,
        with those of distillation or, at the cost of the student alone, without."""

    def end_epoch(self) -> None:
        """After the last step of an epoch."""
