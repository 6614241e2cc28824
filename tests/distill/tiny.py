"""A network of two convolutions with a shared or a per-task tap, small enough for loops over positions."""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from tutelage.types import Batch, MultiTaskNet, Output, Reduce, Terms


class Tiny(MultiTaskNet):
    """3 -> `channels` at half resolution ("bottleneck") -> `last` at full resolution ("last") -> heads."""

    def __init__(self, widths: dict[str, int], channels: int = 4, last: int = 3, per_task: bool = False) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(), nn.Dropout(0.1)
        )
        self.decoder = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(channels, last, 3, 1, 1))
        self.heads = nn.ModuleDict({task: nn.Conv2d(last, width, 1) for task, width in widths.items()})
        self.per_task = per_task

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        bottleneck = self.encoder(images)
        last = self.decoder(bottleneck)
        predictions = {t: self.heads[t](last) for t in (self.heads if tasks is None else tasks)}
        if self.per_task:
            per_task = {t: last * (i + 1) + i for i, t in enumerate(self.heads)}
            return Output(predictions, {"bottleneck": bottleneck, "last": per_task}, (last,))
        return Output(predictions, {"bottleneck": bottleneck, "last": last}, (last,))

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        return list(self.heads[task].parameters())

    def shared_parameters(self) -> list[nn.Parameter]:
        return [*self.encoder.parameters(), *self.decoder.parameters()]


WIDTHS = {"colour": 3, "height": 1}


def student(seed: int = 0, **kwargs: int) -> Tiny:
    torch.manual_seed(seed)
    return Tiny(WIDTHS, **kwargs)


def teachers(seed: int = 1, **kwargs: int) -> dict[str, MultiTaskNet]:
    torch.manual_seed(seed)
    return {task: Tiny({task: width}, **kwargs) for task, width in WIDTHS.items()}


def batch(seed: int = 2, size: int = 2, height: int = 4, width: int = 6) -> Batch:
    images = torch.rand(size, 3, height, width, generator=torch.Generator().manual_seed(seed))
    return Batch(images, {})


class NoReduce(Reduce):
    share = 1.0

    def __call__(self, terms: Terms) -> Terms:
        return terms
