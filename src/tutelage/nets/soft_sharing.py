"""The base of networks with soft parameter sharing, and the ways in which they mix features."""

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
    """A network in which every task has its own features, which its decoder reads; subclasses compute them."""

    @abstractmethod
    def _own(self, task: str) -> Iterable[nn.Parameter]:
        """The parameters, besides decoder and head, on which only the predictions of this task depend."""

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """The parameters on which only the task's predictions depend; in a single-task network, all."""
        own = super().task_parameters(task)
        return own if len(self.heads) == 1 else [*own, *self._own(task)]

    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters on which two tasks or more depend; in a single-task network, none."""
        own = {id(p) for task in self.heads for p in self.task_parameters(task)}
        return [p for p in self.parameters() if id(p) not in own]

    def _output(self, names: Collection[str], features: Mapping[str, Features], x: Tensor, images: Tensor) -> Output:
        """Predictions of `names` and the taps of all tasks, from each task's features of `x`, the entered images."""
        stages = {task: named_stages(features[task], x) for task in self.heads}
        z = {task: self._decode(self.decoders[task], features[task]) for task in self.heads}
        stage_names = next(iter(stages.values()))  # the same for all tasks
        by_stage = {name: {task: maps[name] for task, maps in stages.items()} for name in stage_names}
        taps = {**by_stage, "bottleneck": list(by_stage.values())[-1], "decoder": z, "last": z}
        return Output({task: self._predict(task, z[task], x, images) for task in names}, {**taps})


class Gate(nn.Module):
    """softmax(W p(x)) [B, experts] of a feature or image x [B, C, h, w], where p averages over the cells of a grid."""

    def __init__(self, channels: int, grid: int, experts: int) -> None:
        super().__init__()
        self.grid = grid
        self.linear = nn.Linear(channels * grid * grid, experts, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The weights of the experts."""
        return torch.softmax(self.linear(pool_to_grid(x, self.grid)).float(), 1)


def pool_to_grid(x: Tensor, grid: int) -> Tensor:
    """The means [B, C * grid * grid] of x [B, C, h, w] over the cells of a grid, those of `adaptive_avg_pool2d`.

    Computed as a product of matrices, whose gradient is deterministic on a GPU.
    """
    rows, columns = (
        adaptive_avg_pool1d(torch.eye(n, dtype=x.dtype, device=x.device)[None], grid)[0] for n in x.shape[2:]
    )
    return (rows.T @ x @ columns).flatten(1)  # rows [h, grid], columns [w, grid]


def weighted_sum(xs: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """sum_e weights[e] * xs[e], in the dtype of xs."""
    terms = [w.to(x.dtype) * x for x, w in zip(xs, weights, strict=True)]
    return sum(terms[1:], terms[0])


def mix(xs: Sequence[Tensor], weights: Tensor) -> Tensor:
    """sum_e weights[:, e] xs[e], with weights [B, E] per image, or [1, E] for all images."""
    return weighted_sum(xs, [w.view(-1, *[1] * (xs[0].ndim - 1)) for w in weights.unbind(1)])


def mix_all(experts: Sequence[Features], weights: Tensor, images: Tensor) -> Features:
    """`mix` of every feature, tokens too, that several encoders have of `images`. The image itself stays as it is."""

    def mix_feature(of_experts: Sequence[Tensor | None]) -> Tensor | None:
        present = [f for f in of_experts if f is not None]
        return mix(present, weights) if present and present[0] is not images else of_experts[0]

    return tuple([mix_feature(fs) for fs in zip(*part, strict=True)] for part in zip(*experts, strict=True))


def check_positive(of: object, **arguments: int) -> None:
    """Raise a UserError for the first argument below 1."""
    for name, value in arguments.items():
        if value < 1:
            raise UserError(f"{type(of).__name__}.{name}: expected 1 or more, found {value}")
