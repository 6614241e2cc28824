"""The base class of tasks."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor
from typing_extensions import TypeVar

from tutelage.errors import UserError
from tutelage.recorded import Recorded
from tutelage.types.batch import Target
from tutelage.types.terms import Term

if TYPE_CHECKING:
    from torchmetrics import Metric

MetricProtocol = Literal["dataset", "image"]  # what a metric averages over; see `metrics`
Picture = npt.NDArray[np.uint8]  # [H, W, 3]
Encoded = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]  # of a picture without loss
Colour = tuple[int, int, int]  # red, green, blue in 0..255
T = TypeVar("T", bound=Target, default=Any)  # a plain `Task` has targets of any kind


class MetricInfo(NamedTuple):
    """How a metric reads: its unit and which way is better."""

    unit: str  # "%", "m", "deg", "" for a ratio
    higher_is_better: bool


class Task(Recorded, ABC, Generic[T]):
    """What one task is, apart from any network and any weight.

    `tasks.MaskedTask` is the base of tasks whose labels have one shape for all images.

    Attributes:
        width: channels of the head's raw output.
        dense: whether the raw output has a value for every pixel, and so is resized with the image.
        main: the metric that stands for the task in Delta.
        metric_info: how each metric reads, in the order of the tables.
        regression: whether the uncertainty weighting takes a continuous likelihood (c = 2).
        contents: what labels may hold, as `data.Modality.content` says; empty: anything.
        meaning: what an activated value is, with its unit, for whoever has the exported file alone; empty: unknown.
        requirement: What a split needs so that `is_sufficient` is True, as a noun: messages read "expected
            {requirement} for ..., found none".
    """

    width: int
    dense: bool
    main: str
    metric_info: Mapping[str, MetricInfo]
    regression: bool
    contents: frozenset[str] = frozenset()
    meaning: str = ""
    requirement = "a value"

    @abstractmethod
    def collate(self, labels: Sequence[Tensor | None], images: Tensor) -> T:
        """The target of `images` [B, 3, H, W], of which each has its label, or None where it has none.

        The labels may be `StackedLabels`, whose `values` are one tensor already.
        """

    def validate(self, label: Tensor, image: Tensor) -> str | None:
        """What is wrong with the label of an image [3, H, W], or None: "expected ..., found ...; what to do"."""
        return None

    def is_sufficient(self, target: T) -> bool:
        """Whether a target has what every split must have somewhere: by default, an image with a label."""
        return bool(target.labelled().any())

    @abstractmethod
    def activate(self, raw: Tensor) -> Tensor:
        """From the head's raw output to what the metrics and `draw` read, in fp32."""

    @abstractmethod
    def loss(self, raw: Tensor, target: T) -> Term:
        """The sum of the losses in fp32, and `target.count()`, by which it is divided over the whole step."""

    def distillation_loss(self, raw: Tensor, taught: Tensor, temperature: float = 1.0) -> Term:
        """The loss with a teacher's raw output in place of the label, summed over all positions, and their number.

        Args:
            raw: the student's raw output.
            taught: the teacher's.
            temperature: for outputs that are logits.

        Raises:
            UserError: The task does not define it.
        """
        raise UserError(
            f"{type(self).__name__}: expected a `distillation_loss`, which distilling predictions needs, found none; "
            "write it, or distil features"
        )

    def mirrored(self, raw: Tensor) -> Tensor:
        """The raw output of mirrored images, mirrored back, left to right, so that it is one of the images."""
        return raw.flip(-1) if self.dense else raw

    @abstractmethod
    def metrics(self, protocol: MetricProtocol) -> "Metric":
        """A metric with `update(activate(raw), target)`; `compute()` returns {name: scalar} in the order of
        `metric_info`."""

    @abstractmethod
    def draw(self, value: Tensor, valid: Tensor | None = None) -> Picture:
        """A picture of one activated prediction or target value (no batch dimension); invalid positions black."""

    def legend(self) -> list[tuple[str, Colour]]:
        """What the colours of `draw` mean, where a list can say that."""
        return []

    def encode(self, value: Tensor) -> Encoded | None:
        """The pixels [H, W] or [H, W, 3] of a label's file, whose kind reads this activated prediction from them.

        `value` has no batch dimension. None: no picture can hold it.
        """
        return None
