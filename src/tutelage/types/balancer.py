"""The base class of balancers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, Protocol

from torch import Tensor, nn

from tutelage.recorded import Recorded
from tutelage.types.distiller import Distiller
from tutelage.types.network import MultiTaskNet, Output
from tutelage.types.task import Task
from tutelage.types.terms import Terms
from tutelage.types.world import World


class Reduce(Protocol):
    """Replaces the counts of a part of a step by those of the whole step (accumulated parts, other processes).

    Attributes:
        share: the part of the step's images that one backward covers: 1 without accumulation, in one process.
        draw: which of the independent draws of a step this is, for a balancer that takes several.
        last: whether it is the last part of its draw.
        world: the processes over which the images of the step are spread.
    """

    share: float
    draw: int = 0
    last: bool = True
    world: World = World()

    def __call__(self, terms: Terms) -> Terms:
        """The same sums, over the counts of the whole step."""


class Balancer(Recorded, nn.Module, ABC):
    """How several losses become one update.

    Its state is in `state_dict`: plain attributes do not change during training, except those that `begin_step` sets
    anew in every step.

    Attributes:
        whole_step: Whether it needs all losses of a step in one `backward`, which excludes accumulation.
        draws: How many independent batches a step takes.
        several_processes: Whether it computes the same where the images of a step are spread over processes. It then
            reads no loss and no gradient of this process's images alone: sums are added by `reduce.world`.
        compilable: Whether the student may be compiled: no gradient is taken with respect to `Output.shared` or a tap,
            which are one node of the graph together with the predictions then.
        completes: Which method makes the one backward pass that completes `.grad`, so that gradients are added over
            the processes while it is under way; None: they are added after `finish`.
    """

    whole_step = False
    draws = 1
    several_processes = False
    compilable = False
    completes: Literal["backward", "finish"] | None = None

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Create what depends on what is trained; called once, before the optimisers are built."""

    def begin_step(self, progress: float) -> None:
        """Called before every step with the part of the run that is done, in [0, 1)."""

    def boundary(self, output: Output) -> Output:
        """The output that the distiller reads: by default the network's own."""
        return output

    @abstractmethod
    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Add the gradient of the balanced objective to `.grad`, for one part of a step.

        Returns:
            The weight of every task, detached, as far as it is determined before `finish`.
        """

    def finish(self) -> dict[str, Tensor]:
        """After the last part of a step: complete `.grad`, and return the weights that are determined only now."""
        return {}

    def summed(self, net: MultiTaskNet) -> Iterable[nn.Parameter]:
        """The parameters whose `.grad` after `finish` is that of the images of all processes.

        By default its own, which follow reduced losses. All others are added over the processes by the loop.
        """
        return self.parameters()

    def after_step(self, again: Callable[[bool], Terms]) -> None:
        """Called after the optimisers' step.

        Args:
            again: `again(distilled)` computes the terms of the same batches under the new parameters, with those of
                distillation or, at the cost of the student alone, without.
        """

    def end_epoch(self) -> None:
        """Called after the last step of an epoch."""
