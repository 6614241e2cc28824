"""SAK: a stem for all teachers, a small path for each, and a mixture of both for every task."""

from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, softplus

from tutelage.errors import UserError
from tutelage.nets.smp import build_parts
from tutelage.nets.soft_sharing import SoftSharing, check_positive, mix
from tutelage.nets.stages import check_stages, gather_features, split_stages, stage_channels
from tutelage.nets.widths import resolve_tasks
from tutelage.types import Output


class SAK(SoftSharing):
    """The Swiss Army Knife (Lu, Cao and Wang, ICLR 2025), with any encoder of timm that runs stage by stage.

    The stem is the encoder; x_i is its feature after stage i. The path of teacher k and the feature of task t are

        r_i^k = A_i^k(C_i^k(r_{i-1}^k) + x_i),   A(u) = u + s W_2 gelu(W_1 u),
        f_i^t = g_0 x_i + sum_k g_k n(r_i^k),   g = softmax(mean over positions of M_i^t(x_i) + noise)

    for the stages that the decoder reads, and f_i^t = x_i for the others. A is an adapter with a scale s to be learnt,
    C a 1x1 convolution that brings the path to the channels of the next stage, resized bilinearly (nothing in the first
    stage), n a LayerNorm over the channels, M a layer with LayerNorm and GELU between two linear maps. In training the
    router adds Gaussian noise, whose size it computes, too. Decoder and head of the task read f^t.

    Taps, each {task: feature} of all tasks: `stage1`, ..., `bottleneck`, `decoder` and `last`, as in `MMoE`, of the
    mixed features; and `paths`, n(r^k) of the last such stage, by the task whose teacher k is, so that the default
    teachers are matched by {paths: last}. With `paths` of other names they are taps of all tasks: `path_NAME`, for the
    `match` of a teacher. The heads share no tensor, so there is no boundary for representation gradients.

    Stem and paths are shared; routers, decoder and head belong to their task.

    Source: "Swiss Army Knife: Synergizing Biases in Knowledge from Vision Foundation Models for Multi-Task Learning"
    (arXiv:2410.14633) and the authors' code, whose stem is a plain ViT: its stages have one width, so that there is no
    C. There a path adapts the patch embedding and every block, here every stage; distillation is at four depths and
    first on ImageNet, here at the last stage and together with the tasks.

    `encoder`, `decoder`, `pretrained`, `output_stride`, `encoder_args` and `decoder_args` are as in
    `EncoderDecoder`.

    Args:
        widths: Channels of each task's head.
        paths: The names of the paths; None: one per task, named after it.
        reduction: By how much an adapter narrows the channels.

    Raises:
        ValueError: As in `EncoderDecoder`; if the encoder does not run stage by stage; if `reduction` is below 1, or
            `paths` is empty or has a name twice.
    """

    def __init__(
        self,
        widths: dict[str, int],
        encoder: str = "resnet50",
        decoder: str = "DeepLabV3Plus",
        pretrained: bool = False,
        output_stride: Literal[8, 16, 32] | None = None,
        encoder_args: dict[str, Any] | None = None,
        decoder_args: dict[str, Any] | None = None,
        paths: list[str] | None = None,
        reduction: int = 4,
    ) -> None:
        check_positive(self, reduction=reduction)
        if paths is not None and (not paths or len(set(paths)) < len(paths)):
            raise UserError(f"SAK.paths: expected one name or more, each once, found {', '.join(paths) or 'none'}")
        parts = build_parts(self, encoder, decoder, pretrained, output_stride, encoder_args, decoder_args)
        check_stages(self, parts.encoder)
        super().__init__(widths, parts, widths)
        self.encoder = parts.encoder
        self._by_task = paths is None
        channels = stage_channels(parts.encoder)
        self._mixed = [i for i, is_read in enumerate(parts.reads[-len(channels) :]) if is_read]
        names = sorted(paths or widths)  # what is trained does not depend on their order
        self.paths = nn.ModuleDict({name: _Path(channels, self._mixed, reduction) for name in names})
        widths_of = {str(i): channels[i] for i in self._mixed}
        self.routers = nn.ModuleDict(
            {task: nn.ModuleDict({i: _Router(c, 1 + len(names)) for i, c in widths_of.items()}) for task in widths}
        )

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and the taps of all tasks, for images [B, 3, H, W]."""
        names = resolve_tasks(self, tasks, self.heads)
        x = self._enter(images)
        stem, h = [], x
        for stage in split_stages(self.encoder):
            h = stage(h)
            stem.append(h)
        of_paths = {name: path(stem) for name, path in self.paths.items()}  # n(r_i^k), by path and stage
        features = {}
        for task, routers in self.routers.items():
            maps = list(stem)
            for i in self._mixed:
                weights = cast(nn.ModuleDict, routers)[str(i)](stem[i])
                maps[i] = mix([stem[i], *(path[i] for path in of_paths.values())], weights)
            features[task] = gather_features(self.encoder, maps, x)
        output = self._output(names, features, x, images)
        last = {name: path[self._mixed[-1]] for name, path in of_paths.items()}
        if self._by_task:
            output.taps["paths"] = {task: last[task] for task in self.heads}
        else:
            output.taps |= {f"path_{name}": feature for name, feature in last.items()}
        return output

    def _own(self, task: str) -> Iterable[nn.Parameter]:
        return self.routers[task].parameters()


class _Path(nn.Module):
    """The path of one teacher: from the stem's features to n(r_i^k)."""

    def __init__(self, channels: list[int], mixed: list[int], reduction: int) -> None:
        super().__init__()
        channels = channels[: mixed[-1] + 1]
        narrow = [max(1, c // reduction) for c in channels]
        self.carry = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(channels))
        self.down = nn.ModuleList(nn.Conv2d(c, n, 1) for c, n in zip(channels, narrow, strict=True))
        self.up = nn.ModuleList(nn.Conv2d(n, c, 1) for c, n in zip(channels, narrow, strict=True))
        self.scale = nn.Parameter(torch.ones(len(channels)))
        self.norms = nn.ModuleDict({str(i): nn.LayerNorm(channels[i]) for i in mixed})

    def forward(self, stem: list[Tensor]) -> dict[int, Tensor]:
        """n(r_i^k) of the stages that are mixed."""
        normed, r = {}, stem[0]
        for i, x in enumerate(stem[: len(self.up)]):
            u = x
            if i:
                carried = self.carry[i - 1](r)
                if carried.shape[2:] != x.shape[2:]:
                    carried = interpolate(carried, x.shape[2:], mode="bilinear", align_corners=False)
                u = carried + x
            r = u + self.scale[i] * self.up[i](gelu(self.down[i](u)))
            if str(i) in self.norms:
                normed[i] = self.norms[str(i)](r.movedim(1, -1)).movedim(-1, 1).to(x.dtype)
        return normed


class _Router(nn.Module):
    """The weights of stem and paths for one task after one stage, [B, 1 + K]."""

    def __init__(self, channels: int, experts: int) -> None:
        super().__init__()
        hidden = max(1, channels // 2)
        self.layers = nn.Sequential(
            nn.Linear(channels, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, 2 * experts)
        )

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.layers(x.movedim(1, -1)).flatten(1, -2).mean(1).float()  # [B, 2 (1 + K)]
        logits, size = pooled.chunk(2, 1)
        if self.training:
            logits = logits + torch.randn_like(logits) * (softplus(size) + 1e-2)
        return torch.softmax(logits, 1)
