"""What networks that share softly have in common: features of every task's own, and how features are mixed."""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d

from tutelage.errors import UserError
from tutelage.nets.decoders import Decoders
from tutelage.nets.smp import Features, named_stages
from tutelage.types import Output


class SoftSharing(Decoders):
    """Every task has features of its own, which its decoder reads; how they come about is the network's."""

    @abstractmethod
    def _own(self, task: str) -> Iterable[nn.Parameter]:
        """The parameters beside decoder and head on which the predictions of no other task depend."""

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Those on which only the task's predictions depend; all, where the network has one task."""
        own = super().task_parameters(task)
        return own if len(self.heads) == 1 else [*own, *self._own(task)]

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those that two tasks or more depend on; none, where the network has one task."""
        own = {id(p) for task in self.heads for p in self.task_parameters(task)}
        return [p for p in self.parameters() if id(p) not in own]

    def _output(self, names: Collection[str], features: Mapping[str, Features], x: Tensor, images: Tensor) -> Output:
        """Predictions of `names` and the taps of all tasks, from each task's features of `x`, the entered images."""
        stages = {task: named_stages(features[task], x) for task in self.heads}
        z = {task: self._decode(self.decoders[task], features[task]) for task in self.heads}
        names_of = next(iter(stages.values()))  # all alike
        by_stage = {name: {task: found[name] for task, found in stages.items()} for name in names_of}
        taps = {**by_stage, "bottleneck": list(by_stage.values())[-1], "decoder": z, "last": z}
        return Output({task: self._predict(task, z[task], x, images) for task in names}, {**taps})


class Gate(nn.Module):
    """softmax(W x) [B, experts] of a feature or image x [B, C, h, w], pooled to a grid."""

    def __init__(self, channels: int, grid: int, experts: int) -> None:
        super().__init__()
        self.grid = grid
        self.linear = nn.Linear(channels * grid * grid, experts, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The weights of the experts."""
        return torch.softmax(self.linear(pooled(x, self.grid)).float(), 1)


def pooled(x: Tensor, grid: int) -> Tensor:
    """The means [B, C * grid * grid] of x [B, C, h, w] over a grid's cells, as `adaptive_avg_pool2d` has them.

    As a product of matrices, whose gradient a GPU can take deterministically.
    """
    rows, columns = (
        adaptive_avg_pool1d(torch.eye(n, dtype=x.dtype, device=x.device)[None], grid)[0] for n in x.shape[2:]
    )
    return (rows.T @ x @ columns).flatten(1)  # rows [h, grid], columns [w, grid]


def weighted(xs: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """sum_e weights[e] * xs[e], in the type of xs."""
    terms = [w.to(x.dtype) * x for x, w in zip(xs, weights, strict=True)]
    return sum(terms[1:], terms[0])


def mix(xs: Sequence[Tensor], weights: Tensor) -> Tensor:
    """sum_e weights[:, e] xs[e], an image's weights each; weights [B, E], or [1, E] where they are the same for all."""
    return weighted(xs, [w.view(-1, *[1] * (xs[0].ndim - 1)) for w in weights.unbind(1)])


def mix_all(experts: Sequence[Features], weights: Tensor, images: Tensor) -> Features:
    """`mix` of every feature that several encoders give of `images`, tokens too; the image itself stays as it is."""

    def mixed(found: Sequence[Tensor | None]) -> Tensor | None:
        present = [f for f in found if f is not None]
        return mix(present, weights) if present and present[0] is not images else found[0]

    return tuple([mixed(found) for found in zip(*part, strict=True)] for part in zip(*experts, strict=True))


def at_least_one(of: object, **arguments: int) -> None:
    """Refuse an argument below 1.

    Raises:
        ValueError: One is.
    """
    for name, value in arguments.items():
        if value < 1:
            raise UserError(f"{type(of).__name__}.{name}: expected 1 or more, found {value}")
