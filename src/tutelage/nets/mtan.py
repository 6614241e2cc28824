"""MTAN: a shared SegNet, and one branch per task that attends to the features of its levels."""

from collections.abc import Collection
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from tutelage.nets.segnet import SegNet, build_layers, initialise, unpool
from tutelage.types import Output

_Level = tuple[Tensor, Tensor]  # u^j, p^j


class MTAN(SegNet):
    """The Multi-Task Attention Network (Liu, Johns and Davison, CVPR 2019) on SegNet, as the authors train it.

    Encoder and decoder of `SegNet` (`standard`) are shared. Every task t has a branch that masks the features of each
    of their ten levels j:

        a_t^j = sigmoid(norm(h_t^j(relu(norm(g_t^j([u^j; x_t^j]))))))
        y_t^j = a_t^j * p^j

    where p^j is the output of the level; u^j that of its first convolution (encoder) or of the unpooling before it
    (decoder); a_t^j a mask in (0, 1) for every channel and position; g and h 1x1 convolutions of the task; [;]
    concatenates channels; and x_t^j comes from the branch's level before, through a 3x3 convolution f^j with batch norm
    and ReLU that all tasks share:

        encoder:  x_t^1 is empty,  x_t^{j+1} = max_pool(f^j(y_t^j)), 2x2
        decoder:  x_t^j = f^j(resize(y_t^{j-1})), bilinear with aligned corners; the first reads the last of the encoder

    The head of task t, SegNet's, reads y_t of the last level. Weights are Xavier normal, biases 0. The batch norm of
    f^j processes the tasks one after the other, in the order of `widths`: it normalises with the statistics of each,
    and its running statistics are a mixture of all, in which the last task has the largest weight.

    Taps, each {task: feature} of all tasks, whichever predictions are requested: `bottleneck`, the output of the fifth
    pooling in the task's branch [B, F5, H/32, W/32], and `last`, its y_t of the last level [B, F1, H, W]. Predictions
    are [B, width, H, W]. The heads share no tensor, so there is no boundary for representation gradients. Images can
    have any size from 32x32 on.

    With three tasks of 13, 1 and 3 channels it has 44,229,073 parameters, of which 35,163,456 are shared; a single-task
    network, the same with one branch, has 38,185,805 with 13 channels.

    Source: arXiv:1803.10704, and KD4MTL's code for NYU-v2, which is based on MTAN's. Differs from both: one class for
    both single-task and multi-task networks; raw predictions, which the tasks activate; any size, while theirs need
    multiples of 32.

    Args:
        widths: Channels of each task's head.
        width: Factor for the numbers of filters, for small machines.
        filters: The five numbers of filters.

    Raises:
        ValueError: There is no task; a width or a number of filters is not positive; an image is smaller than 32x32.
    """

    def __init__(
        self,
        widths: dict[str, int],
        width: float = 1.0,
        filters: tuple[int, int, int, int, int] | None = None,
    ) -> None:
        super().__init__(widths, width=width, filters=filters)
        f = self.filters
        passed, outputs = [*f[1:], f[4]], [f[0], *f[:4]]  # output channels of f^j in the encoder and in the decoder
        self.encoder_shared = nn.ModuleList(build_layers(i, o, 1) for i, o in zip(f, passed, strict=True))
        self.decoder_shared = nn.ModuleList(build_layers(i, o, 1) for i, o in zip(f, outputs, strict=True))
        self.attention = nn.ModuleDict({task: _Attention(f, outputs) for task in widths})
        for module in (self.encoder_shared, self.decoder_shared, self.attention):
            initialise(module)

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and the taps of all tasks, for images [B, 3, H, W]."""
        names = self._resolve(images, tasks)
        x = images
        encoded: list[_Level] = []
        decoded: list[_Level] = []
        indices = []  # of each pooling
        for level in self.encoder:
            first = cast(nn.Sequential, level)[:3](x)
            x = cast(nn.Sequential, level)[3:](first)
            encoded.append((first, x))
            x, index = max_pool2d(x, 2, return_indices=True)
            indices.append(index)
        for level, index, (_, p) in zip(reversed(self.decoder), reversed(indices), reversed(encoded), strict=True):
            unpooled = unpool(x, index, p.shape[2:])
            x = level(unpooled)
            decoded.append((unpooled, x))
        bottleneck: dict[str, Tensor] = {}
        last: dict[str, Tensor] = {}
        for task, attention in self.attention.items():
            bottleneck[task], last[task] = attention(encoded, self.encoder_shared, decoded, self.decoder_shared)
        predictions = {task: self.heads[task](last[task]) for task in names}
        return Output(predictions, {"bottleneck": bottleneck, "last": last})

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """The parameters of the task's attention and head; in a single-task network, all."""
        own = super().task_parameters(task)
        return own if len(self.heads) == 1 else [*self.attention[task].parameters(), *own]

    def shared_parameters(self) -> list[nn.Parameter]:
        """SegNet's shared parameters and those of f^j; in a single-task network, none."""
        if len(self.heads) == 1:
            return []
        return [*super().shared_parameters(), *self.encoder_shared.parameters(), *self.decoder_shared.parameters()]


class _Attention(nn.Module):
    """The layers that belong to the branch of one task: g and h of every level."""

    def __init__(self, filters: list[int], outputs: list[int]) -> None:
        super().__init__()
        carried = [0, *filters[1:]]  # channels of x_t^j in the encoder; in the decoder those of the level
        self.encoder = nn.ModuleList(_mask(f + x, f) for f, x in zip(filters, carried, strict=True))
        self.decoder = nn.ModuleList(_mask(f + o, o) for f, o in zip(filters, outputs, strict=True))

    def forward(
        self, encoded: list[_Level], f_encoder: nn.ModuleList, decoded: list[_Level], f_decoder: nn.ModuleList
    ) -> tuple[Tensor, Tensor]:
        """The bottleneck of the branch, and the feature that the head reads."""
        x: Tensor | None = None
        for (u, p), mask, f in zip(encoded, self.encoder, f_encoder, strict=True):
            y = mask(u if x is None else torch.cat([u, x], 1)) * p
            x = max_pool2d(f(y), 2)
        assert x is not None
        y = bottleneck = x
        for (u, p), mask, f in zip(decoded, reversed(self.decoder), reversed(f_decoder), strict=True):
            x = f(interpolate(y, u.shape[2:], mode="bilinear", align_corners=True))
            y = mask(torch.cat([u, x], 1)) * p
        return bottleneck, y


def _mask(inputs: int, outputs: int) -> nn.Sequential:
    """g and h of one level: the mask [B, outputs, H, W]."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 1),
        nn.BatchNorm2d(outputs),
        nn.Sigmoid(),
    )
