"""MTI-Net: first predictions of every task, and an exchange of features between tasks, at every scale of an encoder."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tutelage.errors import UserError
from tutelage.nets.decoders import Decoders
from tutelage.nets.pad_net import MessagesGatedBySender, Residual
from tutelage.nets.renamed import accept_old_names
from tutelage.nets.smp import Parts, build_parts, encode, named_stages
from tutelage.nets.widths import resolve_tasks
from tutelage.types import Output

_FIRST = 2  # of smp's features, feature k being at 1/2^k of the image


class MTINet(Decoders):
    """MTI-Net (Vandenhende, Georgoulis and Van Gool, ECCV 2020) on any encoder of timm with maps at several scales.

    At each scale s = 1, ..., 4 (1/4, 1/8, 1/16 and 1/32 of the image) every task k has features F_k^s and, from them by
    a 1x1 convolution, a first prediction. From coarse to fine, without P at the coarsest scale:

        F_k^s = r_k^s([X^s; up(P_k^{s+1})])                                             initial features
        M^s   = softmax over tasks of f^s([F_1^s; ...; F_T^s])                          feature propagation:
        Z^s   = g^s([M_1^s . F_1^s; ...; M_T^s . F_T^s])                                what the tasks have in common
        P_k^s = F_k^s + sigmoid(B_k^s relu(A_k^s mean(Z^s))) . Z^s                      squeeze and excitation for k

    then multi-modal distillation at every scale, and aggregation at the finest one:

        D_k^s = F_k^s + sum_{l != k} sigmoid(V_kl^s * F_l^s) . (W_kl^s * F_l^s)
        L_k   = relu(norm(h_k([D_k^1; up(D_k^2); up(D_k^3); up(D_k^4)])))

    where X^s [B, C_s, h_s, w_s] is the encoder's map with its channels changed to C_s; r is two residual blocks; f is
    two residual blocks of T C_s / 4 channels and a 1x1 convolution back to T C_s, so that M weighs the tasks at every
    channel and position; g is one residual block to C_s channels; A and B are linear with C_s / 16 numbers between
    them (torchvision's SqueezeExcitation); * is a 3x3 and h a 1x1 convolution; up is bilinear resizing; [;]
    concatenates channels, with the tasks in the order of their names. One head per task, a 1x1 convolution, reads L_k;
    its output is resized bilinearly to the image. Heads of the last predictions are initialised as smp's, everything
    else as PyTorch's layers.

    In training `Output.auxiliary` has the four first predictions of every requested task, from fine to coarse, resized
    as the last one. Their losses are added to the loss of the task, each with weight 1.

    Taps: `stage1`, `stage2`, ... and `bottleneck` of the encoder, as in `EncoderDecoder`; `initial1`, ..., `initial4`:
    F_k^s from fine to coarse [B, C_s, h_s, w_s]; `last`: L_k [B, C_1 + ... + C_4, H/4, W/4]. The last five are
    {task: feature} of all tasks, whichever predictions are requested. Predictions are [B, width, H, W] for images of
    any size. Every task reads the features of the others, so there is no boundary for representation gradients. The
    heads of both kinds, V_kl and W_kl, and h_k belong to task k. Everything else is shared; that includes r, A and B,
    since other tasks read their outputs. A single-task network has no V, W and f, and its M is 1.

    Source: arXiv:2001.06902 and the authors' code (Multi-Task-Learning-PyTorch, models/mti_net.py), which has HRNet
    only. Differs from the code: any encoder, with an FPN (1612.03144, torchvision's) or convolutions that change its
    maps to C_s channels; M weighs the tasks, while the code's softmax is over T neighbouring channels of the
    concatenated features, mostly of one task; every task has first and last predictions, while the code allows first
    predictions only for some.

    Args:
        widths: Channels of each task's head.
        encoder: Name in timm, as in `EncoderDecoder`: a CNN, or a transformer with scales (Swin, ...).
        channels: C_s. One number for all scales: an FPN precedes, so that every map depends on the coarser ones. One
            number per scale, from fine to coarse: a 1x1 convolution of each map, for encoders that exchange features
            between scales themselves; `[18, 36, 72, 144]` are those of the authors' HRNet-18.
        pretrained: Start from timm's weights, as in `EncoderDecoder`.
        encoder_args: More arguments of `timm.create_model`.

    Raises:
        ValueError: As in `EncoderDecoder`; or the encoder's maps are not at these scales; or `channels` is neither one
            nor four positive numbers; in training, also where the coarsest map of a batch is one position of one image.
    """

    def __init__(
        self,
        widths: dict[str, int],
        encoder: str = "resnet50",
        channels: int | Sequence[int] = 128,
        pretrained: bool = False,
        encoder_args: dict[str, Any] | None = None,
    ) -> None:
        parts = _build_parts(self, encoder, pretrained, encoder_args)
        inputs: list[int] = list(cast(Any, parts.encoder).out_channels)[_FIRST:]
        each = [channels] * len(inputs) if isinstance(channels, int) else list(channels)
        if len(each) != len(inputs) or min(each) < 1:
            raise UserError(
                f"MTINet.channels: expected one number from 1 on, or {len(inputs)}, one per scale; found {channels}"
            )
        parts.head = cast(Any, type(parts.head))(sum(each), 1, kernel_size=1)
        super().__init__(widths, parts, ())
        self.encoder = parts.encoder
        self.pyramid = _pyramid(inputs, channels) if isinstance(channels, int) else _Projections(inputs, each)
        coarser = [*each[1:], 0]  # channels of P^{s+1}
        self.initial = nn.ModuleList(
            nn.ModuleDict({t: nn.Sequential(Residual(c + p, c), Residual(c, c)) for t in widths})
            for c, p in zip(each, coarser, strict=True)
        )
        self.initial_heads = nn.ModuleList(
            nn.ModuleDict({t: nn.Conv2d(c, width, 1) for t, width in widths.items()}) for c in each
        )
        self.propagations = nn.ModuleList(Propagation(widths, c) for c in each[1:])
        self.distillations = nn.ModuleList(
            nn.ModuleDict({t: MessagesGatedBySender(t, widths, c) for t in widths}) for c in each
        )
        self.aggregations = nn.ModuleDict({t: _aggregation(sum(each)) for t in widths})

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and the taps of all tasks, for images [B, 3, H, W]."""
        names = resolve_tasks(self, tasks, self.heads)
        x = self._enter(images)
        if self.training and x[:, 0].numel() == self.multiple**2:
            raise UserError(
                "MTINet: expected two images or more in a batch to train batch norms that read one number per image "
                "and channel, found one; raise train.batch_size or enlarge the images"
            )
        features = encode(self.encoder, x)
        stages = named_stages(features, x)
        maps = self.pyramid({f"scale{s}": x for s, x in enumerate(features[0][_FIRST:], 1)})
        initial = self._initial(list(maps.values()))
        distilled = [
            {t: distillation(f) for t, distillation in cast(nn.ModuleDict, of_scale).items()}
            for of_scale, f in zip(self.distillations, initial, strict=True)
        ]
        last = {t: h(_concatenated([d[t] for d in distilled])) for t, h in self.aggregations.items()}
        predictions = {t: self._predict(t, last[t], x, images) for t in names}
        first = {t: self._first(t, initial, x, images) for t in names if self.training}
        taps: dict[str, Tensor | dict[str, Tensor]] = {**stages, "bottleneck": list(stages.values())[-1]}
        taps |= {**{f"initial{s}": f for s, f in enumerate(initial, 1)}, "last": last}
        return Output(predictions, taps, auxiliary=first)

    def _initial(self, maps: list[Tensor]) -> list[dict[str, Tensor]]:
        """The initial features F_k^s, by scale from fine to coarse and by task."""
        initial: list[dict[str, Tensor]] = []
        for s in reversed(range(len(maps))):
            read = dict.fromkeys(self.heads, maps[s])
            if initial:
                propagated = self.propagations[s](initial[0])  # P^{s+1}
                read = {t: _concatenated([maps[s], p]) for t, p in propagated.items()}
            refine = cast(nn.ModuleDict, self.initial[s])
            initial.insert(0, {t: refine[t](z) for t, z in read.items()})
        return initial

    def _first(self, task: str, initial: list[dict[str, Tensor]], entered: Tensor, images: Tensor) -> list[Tensor]:
        """The first predictions of a task, from fine to coarse."""
        heads = (cast(nn.ModuleDict, of_scale)[task] for of_scale in self.initial_heads)
        return [self._resize(h(f[task]), entered, images) for h, f in zip(heads, initial, strict=True)]

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """The parameters of the task's heads, distillation and aggregation; in a single-task network, all."""
        (task,) = resolve_tasks(self, [task], self.heads)
        if len(self.heads) == 1:
            return list(self.parameters())
        own = [*self.initial_heads, *self.distillations, self.aggregations, self.heads]
        return [p for modules in own for p in cast(nn.ModuleDict, modules)[task].parameters()]

    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters of encoder, initial features and propagation; in a single-task network, none."""
        shared = (self.encoder, self.pyramid, self.initial, self.propagations)
        return [] if len(self.heads) == 1 else [p for module in shared for p in module.parameters()]


class Propagation(nn.Module):
    """Feature propagation of one scale, from {k: F_k} to {k: P_k}, all [B, C, h, w]; see `MTINet`.

    With one task M is 1, and there is no f.
    """

    def __init__(self, tasks: Collection[str], channels: int) -> None:
        super().__init__()
        total = channels * len(tasks)
        inner = max(1, total // 4)
        self.weigh = (
            nn.Sequential(Residual(total, inner), Residual(inner, inner), nn.Conv2d(inner, total, 1))  # f
            if len(tasks) > 1
            else None
        )
        self.reduce = Residual(total, channels)  # g
        self.excite = nn.ModuleDict({t: _excitation(channels) for t in tasks})  # A and B

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{task: P_k}."""
        tasks = sorted(features)
        z = torch.cat([features[t] for t in tasks], 1)
        if self.weigh is not None:
            mask = self.weigh(z).unflatten(1, (len(tasks), -1)).softmax(1)  # [B, T, C, h, w]
            z = mask.flatten(1, 2) * z
        z = self.reduce(z)
        return {t: f + self.excite[t](z) for t, f in features.items()}


class _Projections(nn.ModuleList):
    """One 1x1 convolution per map."""

    def __init__(self, inputs: list[int], channels: list[int]) -> None:
        super().__init__(nn.Conv2d(i, o, 1) for i, o in zip(inputs, channels, strict=True))

    def forward(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{scale: map with its new number of channels}, as torchvision's FPN returns it."""
        return {scale: project(x) for project, (scale, x) in zip(self, maps.items(), strict=True)}


def _pyramid(inputs: list[int], channels: int) -> nn.Module:
    """torchvision's FPN, initialised as PyTorch's convolutions, in the order that earlier versions had."""
    from torchvision.ops import FeaturePyramidNetwork

    with torch.random.fork_rng(devices=[]):
        pyramid: nn.Module = FeaturePyramidNetwork(inputs, channels)
    old_names: dict[str, str] = {}
    for old, new in (("lateral", "inner_blocks"), ("smooth", "layer_blocks")):
        for i, block in enumerate(cast(nn.ModuleList, pyramid.get_submodule(new))):
            cast(nn.Conv2d, cast(nn.Sequential, block)[0]).reset_parameters()
            old_names |= {f"{old}.{i}.{name}": f"{new}.{i}.0.{name}" for name in ("weight", "bias")}
    accept_old_names(pyramid, old_names)
    return pyramid


def _aggregation(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU())


def _excitation(channels: int) -> nn.Module:
    """sigmoid(B relu(A mean(Z))) . Z of a feature Z."""
    from torchvision.ops import SqueezeExcitation

    excitation: nn.Module = SqueezeExcitation(channels, max(1, channels // 16))
    parts = {"1": "fc1", "3": "fc2"}
    accept_old_names(excitation, {f"{old}.{x}": f"{new}.{x}" for old, new in parts.items() for x in ("weight", "bias")})
    return excitation


def _concatenated(maps: list[Tensor]) -> Tensor:
    """The channels of all maps, resized to the first."""
    size = maps[0].shape[2:]
    return torch.cat([maps[0], *(interpolate(x, size, mode="bilinear") for x in maps[1:])], 1)


def _build_parts(of: MTINet, encoder: str, pretrained: bool, encoder_args: dict[str, Any] | None) -> Parts:
    try:
        return build_parts(of, encoder, "FPN", pretrained, None, encoder_args, None)
    except ValueError as error:
        if "downsampling pattern" not in str(error):  # smp's words
            raise
        raise UserError(
            f"MTINet.encoder: expected a network of timm with maps at 1/4, 1/8, 1/16 and 1/32 of the image, found "
            f"`{encoder}` with others; take a CNN or a transformer with scales (Swin), or for a plain ViT PADNet with "
            "`decoder: DPT`"
        ) from error
