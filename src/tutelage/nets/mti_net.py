"""MTI-Net: tasks are predicted, and tell each other what they have seen, at every scale of an encoder."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tutelage.errors import UserError
from tutelage.nets.decoders import Decoders
from tutelage.nets.pad_net import MessagesGatedBySender, Residual
from tutelage.nets.smp import Parts, encode, named_stages, parts
from tutelage.nets.widths import resolve_tasks
from tutelage.types import Output

_FIRST = 2  # of smp's features, feature k being at 1/2^k of the image


class MTINet(Decoders):
    """MTI-Net (Vandenhende, Georgoulis and Van Gool, ECCV 2020) on any encoder of timm with maps at several scales.

    At each scale s = 1, ..., 4, at 1/4, 1/8, 1/16 and 1/32 of the image, task k has features and, by a 1x1
    convolution, a first prediction of them. From coarse to fine, starting without P:

        F_k^s = r_k^s([X^s; up(P_k^{s+1})])                                             initial features
        M^s   = softmax over tasks of f^s([F_1^s; ...; F_T^s])                          feature propagation:
        Z^s   = g^s([M_1^s . F_1^s; ...; M_T^s . F_T^s])                                what tasks have in common,
        P_k^s = F_k^s + sigmoid(B_k^s relu(A_k^s mean(Z^s))) . Z^s                      and what of it is for task k

    and then, at every scale, multi-modal distillation, and aggregation at the finest:

        D_k^s = F_k^s + sum_{l != k} sigmoid(V_kl^s * F_l^s) . (W_kl^s * F_l^s)
        L_k   = relu(norm(h_k([D_k^1; up(D_k^2); up(D_k^3); up(D_k^4)])))

    where X^s [B, C_s, h_s, w_s] is the map of the encoder, brought to C_s channels; r two residual blocks; f two
    residual blocks of T C_s / 4 channels and a 1x1 convolution back to T C_s, so that M weighs the tasks at every
    channel and position; g one residual block to C_s; A and B linear, with C_s / 16 numbers between; * a 3x3, h a
    1x1 convolution; up bilinear resizing; [;] joins channels, tasks being in the order of their names. A head of
    one 1x1 convolution reads L_k, and its output is resized bilinearly to the image. Heads of the last predictions
    begin as smp's, all else as PyTorch's.

    In training `Output.auxiliary` has the four first predictions of every task that is asked for, from fine to coarse,
    resized as the last one: their losses are added to the task's, with weight 1 each.

    Taps: `stage1`, `stage2`, ... and `bottleneck` of the encoder, as `EncoderDecoder` has them; `initial1`, ...,
    `initial4`: F_k^s from fine to coarse [B, C_s, h_s, w_s]; `last`: L_k [B, C_1 + ... + C_4, H/4, W/4]. The last
    five are {task: feature} of all tasks, whatever predictions are asked for. Predictions are [B, width, H, W]. Images
    of any size fit, as there. Every task reads the features of the others: there is no boundary of representation
    gradients. Heads of both kinds, the convolutions of what a task is told (its V and W) and h are the task's own; all
    else is shared, r and A, B included, since what they give is told to the other tasks. A single-task network tells
    nobody: it has no V, W and f, and its M is 1.

    Source: arXiv:2001.06902 and the authors' code (Multi-Task-Learning-PyTorch, models/mti_net.py), which has HRNet
    alone. Differs from the code: any encoder, whose maps an FPN (1612.03144) or convolutions bring to C_s channels; M
    weighs the tasks, where the code's softmax is over T neighbouring channels of the joined features, mostly of one
    task; every task has first and last predictions, where the code may have some of the first kind only.

    Args:
        widths: Channels of each task's head.
        encoder: Name in timm, as in `EncoderDecoder`: a CNN, or a transformer with scales (Swin, ...).
        channels: C_s. A number for all scales: an FPN is in front, so that each map has seen the coarser ones. One a
            scale, from fine to coarse: a 1x1 convolution of each map alone, for encoders whose scales have met already;
            `[18, 36, 72, 144]` are those of the authors' HRNet-18.
        pretrained: Begin with timm's weights, as in `EncoderDecoder`.
        encoder_args: More arguments of `timm.create_model`.

    Raises:
        ValueError: As `EncoderDecoder`; or the encoder's maps are not at these scales; channels are not positive or
            not one number or four; in training, the coarsest map of a batch is one position of one image.
    """

    def __init__(
        self,
        widths: dict[str, int],
        encoder: str = "resnet50",
        channels: int | Sequence[int] = 128,
        pretrained: bool = False,
        encoder_args: dict[str, Any] | None = None,
    ) -> None:
        made = _parts(self, encoder, pretrained, encoder_args)
        found: list[int] = list(cast(Any, made.encoder).out_channels)[_FIRST:]
        each = [channels] * len(found) if isinstance(channels, int) else list(channels)
        if len(each) != len(found) or min(each) < 1:
            raise UserError(
                f"MTINet.channels: expected one number from 1 on, or {len(found)}, one a scale; found {channels}"
            )
        made.head = cast(Any, type(made.head))(sum(each), 1, kernel_size=1)
        super().__init__(widths, made, ())
        self.encoder = made.encoder
        self.pyramid = _Pyramid(found, channels) if isinstance(channels, int) else _Projections(found, each)
        brought = [*each[1:], 0]  # channels of P^{s+1}
        self.initial = nn.ModuleList(
            nn.ModuleDict({t: nn.Sequential(Residual(c + p, c), Residual(c, c)) for t in widths})
            for c, p in zip(each, brought, strict=True)
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
                "MTINet: expected two images or more in a batch to train batch norms that read one number an image and "
                "channel, found one; raise train.batch_size or enlarge the images"
            )
        features = encode(self.encoder, x)
        stages = named_stages(features, x)
        initial = self._initial(self.pyramid(features[0][_FIRST:]))
        distilled = [
            {t: distillation(f) for t, distillation in cast(nn.ModuleDict, of_scale).items()}
            for of_scale, f in zip(self.distillations, initial, strict=True)
        ]
        last = {t: h(_joined([d[t] for d in distilled])) for t, h in self.aggregations.items()}
        predictions = {t: self._predict(t, last[t], x, images) for t in names}
        first = {t: self._first(t, initial, x, images) for t in names if self.training}
        taps: dict[str, Tensor | dict[str, Tensor]] = {**stages, "bottleneck": list(stages.values())[-1]}
        taps |= {**{f"initial{s}": f for s, f in enumerate(initial, 1)}, "last": last}
        return Output(predictions, taps, auxiliary=first)

    def _initial(self, maps: list[Tensor]) -> list[dict[str, Tensor]]:
        """F_k^s by scale, from fine to coarse, and task."""
        found: list[dict[str, Tensor]] = []
        for s in reversed(range(len(maps))):
            read = dict.fromkeys(self.heads, maps[s])
            if found:
                propagated = self.propagations[s](found[0])  # of scale s + 1
                read = {t: _joined([maps[s], p]) for t, p in propagated.items()}
            refine = cast(nn.ModuleDict, self.initial[s])
            found.insert(0, {t: refine[t](z) for t, z in read.items()})
        return found

    def _first(self, task: str, initial: list[dict[str, Tensor]], entered: Tensor, images: Tensor) -> list[Tensor]:
        """The first predictions of a task, from fine to coarse."""
        heads = (cast(nn.ModuleDict, of_scale)[task] for of_scale in self.initial_heads)
        return [self._resize(h(f[task]), entered, images) for h, f in zip(heads, initial, strict=True)]

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Those of the task's heads, of what it is told and of its aggregation; all, where it is the only task."""
        (task,) = resolve_tasks(self, [task], self.heads)
        if len(self.heads) == 1:
            return list(self.parameters())
        own = [*self.initial_heads, *self.distillations, self.aggregations, self.heads]
        return [p for modules in own for p in cast(nn.ModuleDict, modules)[task].parameters()]

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those of the encoder, of all initial features and of their propagation; none, where there is one task."""
        shared = (self.encoder, self.pyramid, self.initial, self.propagations)
        return [] if len(self.heads) == 1 else [p for module in shared for p in module.parameters()]


class Propagation(nn.Module):
    """Feature propagation of one scale: {k: P_k} of {k: F_k}, all [B, C, h, w], as `MTINet` has it.

    With one task M is 1, and there is no f.
    """

    def __init__(self, tasks: Collection[str], channels: int) -> None:
        super().__init__()
        every = channels * len(tasks)
        inner = max(1, every // 4)
        self.weigh = (
            nn.Sequential(Residual(every, inner), Residual(inner, inner), nn.Conv2d(inner, every, 1))  # f
            if len(tasks) > 1
            else None
        )
        self.reduce = Residual(every, channels)  # g
        self.excite = nn.ModuleDict({t: _excitation(channels) for t in tasks})  # A and B

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{task: P_k}."""
        tasks = sorted(features)
        z = torch.cat([features[t] for t in tasks], 1)
        if self.weigh is not None:
            mask = self.weigh(z).unflatten(1, (len(tasks), -1)).softmax(1)  # [B, T, C, h, w]
            z = mask.flatten(1, 2) * z
        z = self.reduce(z)
        return {t: f + self.excite[t](z) * z for t, f in features.items()}


class _Pyramid(nn.Module):
    """A feature pyramid: every map in C channels, to which the next coarser one is added."""

    def __init__(self, inputs: list[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(i, channels, 1) for i in inputs)
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in inputs)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """The maps from fine to coarse."""
        sums: list[Tensor] = []
        for lateral, x in zip(reversed(self.lateral), reversed(maps), strict=True):
            x = lateral(x)
            sums.insert(0, x + interpolate(sums[0], x.shape[2:]) if sums else x)
        return [smooth(x) for smooth, x in zip(self.smooth, sums, strict=True)]


class _Projections(nn.ModuleList):
    """A 1x1 convolution a map."""

    def __init__(self, inputs: list[int], channels: list[int]) -> None:
        super().__init__(nn.Conv2d(i, o, 1) for i, o in zip(inputs, channels, strict=True))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """The maps from fine to coarse."""
        return [project(x) for project, x in zip(self, maps, strict=True)]


def _aggregation(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU())


def _excitation(channels: int) -> nn.Sequential:
    """How much of each channel a task takes: [B, channels, 1, 1]."""
    inner = max(1, channels // 16)
    squeeze, excite = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), squeeze, nn.ReLU(), excite, nn.Sigmoid())


def _joined(maps: list[Tensor]) -> Tensor:
    """The channels of all maps, at the positions of the first."""
    size = maps[0].shape[2:]
    return torch.cat([maps[0], *(interpolate(x, size, mode="bilinear") for x in maps[1:])], 1)


def _parts(of: MTINet, encoder: str, pretrained: bool, encoder_args: dict[str, Any] | None) -> Parts:
    try:
        return parts(of, encoder, "FPN", pretrained, None, encoder_args, None)
    except ValueError as error:
        if "downsampling pattern" not in str(error):  # smp's words
            raise
        raise UserError(
            f"MTINet.encoder: expected a network of timm with maps at 1/4, 1/8, 1/16 and 1/32 of the image, found "
            f"`{encoder}` with others; take a CNN or a transformer with scales (Swin), or for a plain ViT PADNet with "
            "`decoder: DPT`"
        ) from error
