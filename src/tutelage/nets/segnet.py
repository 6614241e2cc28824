"""SegNet, the network of the paper: encoder and decoder shared by all tasks, and a head for each."""

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
    """SegNet (Badrinarayanan et al., TPAMI 2017) with a head a task, as in MTAN's and the authors' code.

    Five encoder levels of 3x3 convolutions with batch norm and ReLU, each followed by 2x2 max pooling whose indices the
    decoder's unpooling reuses, and five decoder levels in reverse. A head is a 3x3 and a 1x1 convolution with no
    activation between them. Weights are Xavier normal, biases 0.

    Taps: `bottleneck`, the output of the fifth pooling [B, F5, H/32, W/32], and `last`, the last shared decoder level
    [B, F1, H, W], which is also the shared boundary of representation gradients. Predictions are [B, width, H, W].
    Images of any size from 32x32 on fit: unpooling restores odd sizes.

    With three tasks of 13, 1 and 3 channels it has 25,055,185 parameters (`wide` 43,934,161, `deep` 50,807,761).

    Differs from the authors' code: one class for both single-task and multi-task networks, and raw predictions, which
    the tasks activate.

    Args:
        widths: Channels of each task's head.
        variant: `standard`; `wide`: 1024 filters in the fifth level; `deep`: twice as many convolutions.
        width: Multiplies the numbers of filters, for small machines.
        filters: The five numbers of filters themselves, in place of `variant`'s.

    Raises:
        ValueError: Where there is no task, a width or filter is not positive, or an image is smaller than 32x32.
    """

    def __init__(
        self,
        widths: dict[str, int],
        variant: Literal["standard", "wide", "deep"] = "standard",
        width: float = 1.0,
        filters: tuple[int, int, int, int, int] | None = None,
    ) -> None:
        super().__init__()
        chosen = [round(width * f) for f in filters or _FILTERS[variant]]
        if min(chosen) < 1:
            raise UserError(
                f"{type(self).__name__}: expected at least one filter in each level, found {chosen}; raise `width`"
            )
        check_widths(self, widths)
        self.filters = chosen
        repeat = 2 if variant == "deep" else 1
        inputs = [3, *chosen[:4]]  # of the encoder's levels
        outputs = [chosen[0], *chosen[:4]]  # of the decoder's levels
        convolutions = [repeat * n for n in _CONVOLUTIONS]
        self.encoder = nn.ModuleList(layers(i, f, n) for i, f, n in zip(inputs, chosen, convolutions, strict=True))
        self.decoder = nn.ModuleList(layers(f, o, n) for f, o, n in zip(chosen, outputs, convolutions, strict=True))
        self.heads = nn.ModuleDict(
            {
                task: nn.Sequential(nn.Conv2d(chosen[0], chosen[0], 3, padding=1), nn.Conv2d(chosen[0], channels, 1))
                for task, channels in widths.items()
            }
        )
        initialise(self)

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and the taps, for images [B, 3, H, W]."""
        names = self._checked(images, tasks)
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

    def _checked(self, images: Tensor, tasks: Collection[str] | None) -> Collection[str]:
        if min(images.shape[2:]) < 32:
            raise UserError(
                f"{type(self).__name__}: expected images of at least 32x32, found {tuple(images.shape[2:])}; enlarge "
                "them or take a network with fewer levels"
            )
        return resolve_tasks(self, tasks, self.heads)

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """The head's; all, where the network has one task."""
        (task,) = resolve_tasks(self, [task], self.heads)
        return list(self.parameters() if len(self.heads) == 1 else self.heads[task].parameters())

    def shared_parameters(self) -> list[nn.Parameter]:
        """Encoder and decoder; none, where the network has one task."""
        return [] if len(self.heads) == 1 else [*self.encoder.parameters(), *self.decoder.parameters()]


def unpool(x: Tensor, index: Tensor, size: torch.Size) -> Tensor:
    """Every value back to where it was the largest of its 2x2 positions; zero elsewhere."""
    if not torch.are_deterministic_algorithms_enabled():
        return max_unpool2d(x, index, [2, 2], output_size=size)
    # torch refuses max_unpool2d there, since equal indices would compete; those of 2x2 pooling all differ.
    warnings.warn(DeterministicWarning("max_unpool2d: scatter in its place"), stacklevel=2)
    flat = x.new_zeros(*x.shape[:2], size[0] * size[1]).scatter(2, index.flatten(2), x.flatten(2))
    return flat.view(*x.shape[:2], *size)


def layers(inputs: int, outputs: int, count: int) -> nn.Sequential:
    """`count` 3x3 convolutions, each with batch norm and ReLU: three modules a convolution."""
    modules: list[nn.Module] = []
    for i, o in pairwise([inputs, *[outputs] * count]):
        modules += [nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True)]
    return nn.Sequential(*modules)


def initialise(net: nn.Module) -> None:
    """Convolutions Xavier normal, their biases 0."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.xavier_normal_(module.weight)
            nn.init.zeros_(module.bias)
