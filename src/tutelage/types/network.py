"""What a network computes, and the base class of networks."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.recorded import Recorded


class DeterministicWarning(UserWarning):
    """A slower operation replaces another in torch's deterministic mode: `operation: its replacement`."""


@dataclass  # not frozen: libraries rebuild it
class Output:
    """What a network computes: raw predictions, and the features that distillation and balancing work on."""

    predictions: dict[str, Tensor]  # raw head outputs; the task activates them
    taps: dict[str, Tensor | dict[str, Tensor]]  # one feature shared by all tasks, or one per task (MTAN)
    # What the heads read, and nothing else does: the cheap boundary of representation gradients; () = none. Where one
    # is computed from another, the heads read an alias of it (`x.view_as(x)`), and the alias is listed here.
    shared: tuple[Tensor, ...] = ()
    # In training: further predictions of a task from inside the network, whose losses are added to the task's loss
    # (PAD-Net, MTI-Net); and scalars that a network adds to a task's loss (DSelect-k).
    auxiliary: dict[str, list[Tensor]] = field(default_factory=dict)
    penalties: dict[str, Tensor] = field(default_factory=dict)


class MultiTaskNet(Recorded, nn.Module, ABC):
    """A network with one head per task. It knows widths and taps, but no loss, no device and no file.

    Every network of this library names its deepest shared feature `bottleneck` and the last one before the heads
    `last`, so that a method can name a tap without knowing the network.
    """

    supplied = ("widths",)  # {task: channels of its head}

    @abstractmethod
    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and every tap, for images [B, 3, H, W]."""

    @abstractmethod
    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """The parameters that only `task` uses."""

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters that two or more tasks use; empty for single-task networks."""


@contextmanager
def in_eval_mode(net: nn.Module) -> Iterator[None]:
    """Put a network in eval mode for a block; every part then has its own mode again."""
    modes = [(part, part.training) for part in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def check_network(value: object, key: str, widths: str) -> None:
    """Raise a UserError where an object is no network with taps; the line says how it becomes one.

    Args:
        value: given as a network.
        key: where.
        widths: {task: channels} of its predictions, as text.
    """
    if isinstance(value, MultiTaskNet):
        return
    expected = f"{key}: expected a network with taps, found {type(value).__name__}"
    if isinstance(getattr(value, "net", None), MultiTaskNet):  # a predictor
        raise UserError(f"{expected}; give its network, its `.net`")
    if not isinstance(value, nn.Module):
        raise UserError(f"{expected}; give a tutelage.types.MultiTaskNet, such as tutelage.nets.SegNet(...)")
    names = [name for name, _ in value.named_children()]
    paths = f" ({', '.join(names[:8])}{', ...' if names[8:] else ''})" if names else ""
    raise UserError(
        f"{expected}; wrap it: tutelage.nets.TappedModule({widths}, network, taps={{'last': PATH}}) with the path of a "
        f"submodule{paths}"
    )
