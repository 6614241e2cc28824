"""SegNet, the network of the paper: encoder and decoder shared by all tasks, and one head per task."""

import warnings
from collections.abc import Collection
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, max_unpool2d

from tutelage.errors import UserError
from tutelage.nets.widths import check_widths, resolve_tasks
from tutelage.types import DeterministicWarning, MultiTaskNet, Output

_FILTERS = {
    "standard": (64, 128, 256, 512, 512),
    "wide": (64, 128, 256, 512, 1024),
    "deep": (64, 128, 256, 512, 512),
}
_CONVOLUTIONS = (2, 2, 3, 3, 3)  # of each level, as in VGG-16; `deep` has twice as many


class SegNet(MultiTaskNet):
    """SegNet (Badrinarayanan et al., TPAMI 2017) with one head per task, as in MTAN's and the authors' code.

    Five encoder levels of 3x3 convolutions with batch norm and ReLU, each followed by 2x2 max pooling whose indices the
    decoder's unpooling reuses, and five decoder levels in reverse. A head is a 3x3 and a 1x1 convolution with no
    activation between them. Weights are Xavier normal, biases 0.

    Taps: `bottleneck`, the output of the fifth pooling [B, F5, H/32, W/32], and `last`, the last shared decoder level
    [B, F1, H, W], which is also the shared boundary for representation gradients. Predictions are [B, width, H, W].
    Images can have any size from 32x32 on: unpooling restores odd sizes.

    With three tasks of 13, 1 and 3 channels it has 25,055,185 parameters (`wide` 43,934,161, `deep` 50,807,761).

    Differs from the authors' code: one class for both single-task and multi-task networks, and raw predictions, which
    the tasks activate.

    Args:
        widths: Channels of each task's head.
        variant: `standard`; `wide`: 1024 filters in the fifth level; `deep`: twice as many convolutions.
        width: Factor for the numbers of filters, for small machines.
        filters: The five numbers of filters, in place of those of `variant`.

    Raises:
        ValueError: There is no task; a width or a number of filters is not positive; an image is smaller than 32x32.
    """

    def __init__(
        self,
        widths: dict[str, int],
        variant: Literal["standard", "wide", "deep"] = "standard",
        width: float = 1.0,
        filters: tuple[int, int, int, int, int] | None = None,
    ) -> None:
        super().__init__()
        scaled = [round(width * f) for f in filters or _FILTERS[variant]]
        if min(scaled) < 1:
            raise UserError(
                f"{type(self).__name__}: expected at least one filter in each level, found {scaled}; raise `width`"
            )
        check_widths(self, widths)
        self.filters = scaled
        repeat = 2 if variant == "deep" else 1
        inputs = [3, *scaled[:4]]  # of the encoder's levels
        outputs = [scaled[0], *scaled[:4]]  # of the decoder's levels
        convolutions = [repeat * n for n in _CONVOLUTIONS]
        self.encoder = nn.ModuleList(
            build_layers(i, f, n) for i, f, n in zip(inputs, scaled, convolutions, strict=True)
        )
        self.decoder = nn.ModuleList(
            build_layers(f, o, n) for f, o, n in zip(scaled, outputs, convolutions, strict=True)
        )
        self.heads = nn.ModuleDict(
            {
                task: nn.Sequential(nn.Conv2d(scaled[0], scaled[0], 3, padding=1), nn.Conv2d(scaled[0], channels, 1))
                for task, channels in widths.items()
            }
        )
        initialise(self)

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and the taps, for images [B, 3, H, W]."""
        names = self._resolve(images, tasks)
        x = images
        indices, sizes = [], []  # of each pooling
        for level in self.encoder:
            x = level(x)
            sizes.append(x.shape[2:])
            x, index = max_pool2d(x, 2, return_indices=True)
            indices.append(index)
        bottleneck = x
        for level, index, size in zip(reversed(self.decoder), reversed(indices), reversed(sizes), strict=True):
            x = level(unpool(x, index, size))
        predictions = {task: self.heads[task](x) for task in names}
        return Output(predictions, {"bottleneck": bottleneck, "last": x}, (x,))

    def _resolve(self, images: Tensor, tasks: Collection[str] | None) -> Collection[str]:
        if min(images.shape[2:]) < 32:
            raise UserError(
                f"{type(self).__name__}: expected images of at least 32x32, found {tuple(images.shape[2:])}; enlarge "
                "them or take a network with fewer levels"
            )
        return resolve_tasks(self, tasks, self.heads)

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """The parameters of the task's head; in a single-task network, all."""
        (task,) = resolve_tasks(self, [task], self.heads)
        return list(self.parameters() if len(self.heads) == 1 else self.heads[task].parameters())

    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters of encoder and decoder; in a single-task network, none."""
        return [] if len(self.heads) == 1 else [*self.encoder.parameters(), *self.decoder.parameters()]


def unpool(x: Tensor, index: Tensor, size: torch.Size) -> Tensor:
    """Each value at the position where it was the largest of 2x2; zeros elsewhere. Undoes `max_pool2d` with indices."""
    if not torch.are_deterministic_algorithms_enabled():
        return max_unpool2d(x, index, [2, 2], output_size=size)
    # torch refuses max_unpool2d in this mode, since equal indices would compete; those of 2x2 pooling all differ.
    warnings.warn(DeterministicWarning("max_unpool2d: scatter in its place"), stacklevel=2)
    flat = x.new_zeros(*x.shape[:2], size[0] * size[1]).scatter(2, index.flatten(2), x.flatten(2))
    return flat.view(*x.shape[:2], *size)


def build_layers(inputs: int, outputs: int, count: int) -> nn.Sequential:
    """`count` 3x3 convolutions, each with batch norm and ReLU: three modules per convolution."""
    modules: list[nn.Module] = []
    for i, o in pairwise([inputs, *[outputs] * count]):
        modules += [nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True)]
    return nn.Sequential(*modules)


def initialise(net: nn.Module) -> None:
    """Initialise convolutions: weights Xavier normal, biases 0."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.xavier_normal_(module.weight)
            nn.init.zeros_(module.bias)
