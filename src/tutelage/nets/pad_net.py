"""PAD-Net: a first prediction of every task, an exchange of features between tasks, and a last prediction."""

from collections.abc import Collection, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from tutelage.nets.decoders import Decoders
from tutelage.nets.smp import build_head, build_parts, encode, named_stages
from tutelage.nets.widths import resolve_tasks
from tutelage.types import Output


class PADNet(Decoders):
    """PAD-Net (Xu, Ouyang, Wang and Sebe, CVPR 2018) on an encoder of timm with decoders of smp.

    For each task k a decoder computes features F_k [B, C, h, w] from those of the encoder, and a head a first
    prediction from F_k. Multi-modal distillation then passes features between tasks, by one of the paper's modules:

        a:  F_k^o = [F_1; ...; F_T]
        b:  F_k^o = F_k + sum_{l != k} W_kl * F_l
        c:  F_k^o = F_k + G_k . sum_{l != k} W_kl * F_l,    G_k = sigmoid(V_k * F_k)

    where * is a 3x3 convolution without bias, . the elementwise product, [;] concatenates channels, and the tasks are
    in the order of their names. Two residual bottlenecks of C channels and a head compute the last prediction from
    F_k^o. Decoders and heads are smp's and initialised as in `EncoderDecoder`, everything else as PyTorch's layers.

    In training `Output.auxiliary` has the first prediction of every requested task, resized as the last one. Its loss
    is added to the loss of the task, with weight 1.

    Taps: `stage1`, `stage2`, ... and `bottleneck` of the encoder, as in `EncoderDecoder`; `initial`, F_k, and `last`,
    what the last head reads, both {task: [B, C, h, w]} of all tasks, whichever predictions are requested. Predictions
    are [B, width, H, W] for images of any size. Every task reads the features of the others, so there is no boundary
    for representation gradients. Encoder and decoders are shared; heads, W_kl, V_k and bottlenecks belong to task k.
    In a single-task network F_k^o = F_k.

    Source: arXiv:1805.04409; the 3x3 convolutions without bias and the bottlenecks before the last head are those of
    the implementation of Vandenhende et al. (Multi-Task-Learning-PyTorch, models/padnet.py). Differs from the paper: an
    smp decoder and these bottlenecks replace the deconvolutions; every task has a first and a last prediction, while
    the paper has only first ones for some tasks; W depends on a pair of tasks in module c, too. Differs from that
    implementation: smp's decoders replace two bottlenecks per task on a fused HRNet; modules a and b; the gate of c
    reads the features of the receiver, while theirs reads those of each sender, sigmoid(V_kl * F_l), as in `MTINet`.

    Args:
        widths: Channels of each task's head.
        encoder: Name in timm.
        decoder: Name of smp's class.
        distillation: The module of multi-modal distillation: `a`, `b` or `c`.
        pretrained: Start from timm's weights.
        output_stride: Of the encoder's last feature.
        encoder_args: More arguments of `timm.create_model`.
        decoder_args: More arguments of smp's class. All of these are explained in `EncoderDecoder`.

    Raises:
        ValueError: As in `EncoderDecoder`; or there is no such module of distillation.
    """

    def __init__(
        self,
        widths: dict[str, int],
        encoder: str = "resnet50",
        decoder: str = "DeepLabV3Plus",
        distillation: Literal["a", "b", "c"] = "c",
        pretrained: bool = False,
        output_stride: Literal[8, 16, 32] | None = None,
        encoder_args: dict[str, Any] | None = None,
        decoder_args: dict[str, Any] | None = None,
    ) -> None:
        parts = build_parts(self, encoder, decoder, pretrained, output_stride, encoder_args, decoder_args)
        super().__init__(widths, parts, widths)
        self.encoder = parts.encoder
        channels = next(x for x in parts.head.modules() if isinstance(x, nn.Conv2d)).in_channels
        distilled = channels * len(widths) if distillation == "a" else channels  # channels of F_k^o
        self.initial_heads = nn.ModuleDict({t: build_head(parts.head, width) for t, width in widths.items()})
        self.distillations = nn.ModuleDict({t: _MODULES[distillation](t, widths, channels) for t in widths})
        self.refinements = nn.ModuleDict(
            {t: nn.Sequential(*(Residual(i, channels, (1, 3, 1)) for i in (distilled, channels))) for t in widths}
        )

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and the taps of all tasks, for images [B, 3, H, W]."""
        names = resolve_tasks(self, tasks, self.heads)
        x = self._enter(images)
        features = encode(self.encoder, x)
        stages = named_stages(features, x)
        initial = {t: self._decode(decoder, features) for t, decoder in self.decoders.items()}  # F_k
        distilled = {t: distillation(initial) for t, distillation in self.distillations.items()}  # F_k^o
        last = {t: refine(distilled[t]) for t, refine in self.refinements.items()}
        predictions = {t: self._predict(t, last[t], x, images) for t in names}
        first = {t: [self._resize(self.initial_heads[t](initial[t]), x, images)] for t in names if self.training}
        taps: dict[str, Tensor | dict[str, Tensor]] = {**stages, "bottleneck": list(stages.values())[-1]}
        taps |= {"initial": initial, "last": last}
        return Output(predictions, taps, auxiliary=first)

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """The parameters of the task's heads, distillation and bottlenecks; in a single-task network, all."""
        (task,) = resolve_tasks(self, [task], self.heads)
        if len(self.heads) == 1:
            return list(self.parameters())
        own = (self.initial_heads, self.distillations, self.refinements, self.heads)
        return [p for modules in own for p in modules[task].parameters()]

    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters of the encoder and of all decoders; in a single-task network, none."""
        return [] if len(self.heads) == 1 else [*self.encoder.parameters(), *self.decoders.parameters()]


class Joined(nn.Module):
    """Module a: [F_1; ...; F_T], in the order of the tasks' names.

    Args:
        task: The task k that receives.
        tasks: All tasks.
        channels: C, the channels of every F_l.
    """

    def __init__(self, task: str, tasks: Collection[str], channels: int) -> None:
        super().__init__()

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """F_k^o [B, C T, h, w] of {task: F_l}."""
        return torch.cat([features[t] for t in sorted(features)], 1)


class Messages(nn.Module):
    """Module b: F_k + sum_{l != k} W_kl * F_l; with one task F_k. Its arguments are those of `Joined`."""

    def __init__(self, task: str, tasks: Collection[str], channels: int) -> None:
        super().__init__()
        self.task = task
        self.messages = nn.ModuleDict({t: _convolution(channels) for t in sorted(tasks) if t != task})

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """F_k^o [B, C, h, w] of {task: F_l}."""
        own = features[self.task]
        return own + self.received(features) if self.messages else own

    def received(self, features: Mapping[str, Tensor]) -> Tensor:
        """The sum of the messages to task k."""
        return torch.stack([message(features[t]) for t, message in self.messages.items()]).sum(0)


class GatedMessages(Messages):
    """Module c: F_k + G_k . sum_{l != k} W_kl * F_l with G_k = sigmoid(V_k * F_k); with one task F_k."""

    def __init__(self, task: str, tasks: Collection[str], channels: int) -> None:
        super().__init__(task, tasks, channels)
        self.gate = _convolution(channels) if self.messages else None

    def received(self, features: Mapping[str, Tensor]) -> Tensor:
        """The sum of the messages to task k, times the gate of task k."""
        assert self.gate is not None
        gate: Tensor = self.gate(features[self.task]).sigmoid()
        return gate * super().received(features)


class MessagesGatedBySender(Messages):
    """MTI-Net's module: F_k + sum_{l != k} sigmoid(V_kl * F_l) . (W_kl * F_l); with one task F_k."""

    def __init__(self, task: str, tasks: Collection[str], channels: int) -> None:
        super().__init__(task, tasks, channels)
        self.gates = nn.ModuleDict({t: _convolution(channels) for t in self.messages})

    def received(self, features: Mapping[str, Tensor]) -> Tensor:
        """The sum of the messages to task k, each times the gate of its sender."""
        gates = {t: gate(features[t]).sigmoid() for t, gate in self.gates.items()}
        return torch.stack([gates[t] * message(features[t]) for t, message in self.messages.items()]).sum(0)


class Residual(nn.Module):
    """relu(f(x) + s(x)), where f has convolutions with batch norm and a ReLU between them, and s(x) = x by default.

    torchvision's BasicBlock and Bottleneck are not used: they need `outputs` divisible by 4 and a module for s.

    Args:
        inputs: Channels of x.
        outputs: Channels of the result; if they differ from `inputs`, s is a 1x1 convolution with batch norm.
        kernels: Kernel sizes of the convolutions of f. If there are three, those before the last have a quarter of
            `outputs` as channels.
    """

    def __init__(self, inputs: int, outputs: int, kernels: tuple[int, ...] = (3, 3)) -> None:
        super().__init__()
        inner = outputs if len(kernels) == 2 else max(1, outputs // 4)
        layers: list[nn.Module] = []
        for number, kernel in enumerate(kernels, 1):
            i, o = inputs if number == 1 else inner, outputs if number == len(kernels) else inner
            layers += [nn.Conv2d(i, o, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(o), nn.ReLU()]
        self.f = nn.Sequential(*layers[:-1])
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, outputs, h, w]."""
        return relu(self.f(x) + self.shortcut(x))


_MODULES: dict[str, type[Joined] | type[Messages]] = {"a": Joined, "b": Messages, "c": GatedMessages}


def _convolution(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1, bias=False)
