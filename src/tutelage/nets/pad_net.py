"""PAD-Net: tasks are predicted once, tell each other what they have seen, and are predicted again."""

from collections.abc import Collection, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from tutelage.errors import UserError
from tutelage.nets.decoders import Decoders
from tutelage.nets.smp import encode, head, named_stages, parts
from tutelage.nets.widths import resolve_tasks
from tutelage.types import Output


class PADNet(Decoders):
    """PAD-Net (Xu, Ouyang, Wang and Sebe, CVPR 2018) on an encoder of timm with decoders of smp.

    A decoder of task k makes features F_k [B, C, h, w] of what the encoder gives, and a head of them a first
    prediction. Multi-modal distillation tells every task what the others have seen, by one of the paper's modules:

        a:  F_k^o = [F_1; ...; F_T]
        b:  F_k^o = F_k + sum_{l != k} W_kl * F_l
        c:  F_k^o = F_k + G_k . sum_{l != k} W_kl * F_l,    G_k = sigmoid(V_k * F_k)

    where * is a 3x3 convolution without bias, . the product at every channel and position, [;] joins channels, and
    tasks are in the order of their names. Two residual bottlenecks of C channels and a head make the prediction of
    F_k^o. Decoders and heads are smp's and begin as in `EncoderDecoder`; all else as PyTorch's.

    In training `Output.auxiliary` has the first prediction of every task that is asked for, resized as the last one:
    its loss is added to the task's, with weight 1.

    Taps: `stage1`, `stage2`, ... and `bottleneck` of the encoder, as `EncoderDecoder` has them; `initial`, F_k, and
    `last`, what the head reads, both {task: [B, C, h, w]} of all tasks, whatever predictions are asked for.
    Predictions are [B, width, H, W]. Images of any size fit, as there. Every task reads the features of the others:
    there is no boundary of representation gradients. Encoder and decoders are shared; heads, the convolutions of what
    a task is told (its W and V) and its bottlenecks are the task's own. A single-task network has nobody to listen to:
    F_k^o = F_k.

    Source: arXiv:1805.04409; the 3x3 convolutions without bias and the bottlenecks before the last head are those of
    the implementation of Vandenhende et al. (Multi-Task-Learning-PyTorch, models/padnet.py). Differs from the paper: an
    smp decoder and these bottlenecks in place of deconvolutions; every task has a first and a last prediction, where
    the paper predicts some tasks on the way only; W is of a pair of tasks in c, too. Differs from that implementation:
    smp's decoders in place of two bottlenecks a task on a fused HRNet; modules a and b; the gate of c reads what the
    receiver sees, where theirs is of each sender, sigmoid(V_kl * F_l), as in `MTINet`.

    Args:
        widths: Channels of each task's head.
        encoder: Name in timm.
        decoder: Name of smp's class.
        distillation: Module of multi-modal distillation.
        pretrained: Begin with timm's weights.
        output_stride: Of the encoder's last feature.
        encoder_args: More arguments of `timm.create_model`.
        decoder_args: More arguments of smp's class. All of these are explained in `EncoderDecoder`.

    Raises:
        ValueError: As `EncoderDecoder`; or there is no such module of distillation.
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
        if distillation not in _MODULES:
            raise UserError(
                f"PADNet.distillation: expected one of {', '.join(_MODULES)}; found `{distillation}`; take `c`, the "
                "paper's best"
            )
        made = parts(self, encoder, decoder, pretrained, output_stride, encoder_args, decoder_args)
        super().__init__(widths, made, widths)
        self.encoder = made.encoder
        channels = next(x for x in made.head.modules() if isinstance(x, nn.Conv2d)).in_channels
        told = channels * len(widths) if distillation == "a" else channels
        self.initial_heads = nn.ModuleDict({t: head(made.head, width) for t, width in widths.items()})
        self.distillations = nn.ModuleDict({t: _MODULES[distillation](t, widths, channels) for t in widths})
        self.refinements = nn.ModuleDict(
            {t: nn.Sequential(*(Residual(i, channels, (1, 3, 1)) for i in (told, channels))) for t in widths}
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
        """Those of the task's heads, of what it is told and of its bottlenecks; all, where it is the only task."""
        (task,) = resolve_tasks(self, [task], self.heads)
        if len(self.heads) == 1:
            return list(self.parameters())
        own = (self.initial_heads, self.distillations, self.refinements, self.heads)
        return [p for modules in own for p in modules[task].parameters()]

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those of the encoder and of all decoders; none, where the network has one task."""
        return [] if len(self.heads) == 1 else [*self.encoder.parameters(), *self.decoders.parameters()]


class Joined(nn.Module):
    """Module a for a task: [F_1; ...; F_T], in the order of the tasks' names.

    Args:
        task: The task k whose features become F_k^o.
        tasks: All tasks.
        channels: Of every F_l.
    """

    def __init__(self, task: str, tasks: Collection[str], channels: int) -> None:
        super().__init__()

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """F_k^o [B, C T, h, w] of {task: F_l}."""
        return torch.cat([features[t] for t in sorted(features)], 1)


class Messages(nn.Module):
    """Module b for task k: F_k + sum_{l != k} W_kl * F_l. With one task: F_k.

    Args: as `Joined`.
    """

    def __init__(self, task: str, tasks: Collection[str], channels: int) -> None:
        super().__init__()
        self.task = task
        self.messages = nn.ModuleDict({t: _convolution(channels) for t in sorted(tasks) if t != task})

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """F_k^o [B, C, h, w] of {task: F_l}."""
        own = features[self.task]
        return own + self.told(features) if self.messages else own

    def told(self, features: Mapping[str, Tensor]) -> Tensor:
        """What the others tell the task."""
        return torch.stack([message(features[t]) for t, message in self.messages.items()]).sum(0)


class GatedMessages(Messages):
    """Module c for task k: F_k + G_k . sum_{l != k} W_kl * F_l with G_k = sigmoid(V_k * F_k). With one task: F_k."""

    def __init__(self, task: str, tasks: Collection[str], channels: int) -> None:
        super().__init__(task, tasks, channels)
        self.gate = _convolution(channels) if self.messages else None

    def told(self, features: Mapping[str, Tensor]) -> Tensor:
        """What the others tell the task, where it listens."""
        assert self.gate is not None
        gate: Tensor = self.gate(features[self.task]).sigmoid()
        return gate * super().told(features)


class MessagesGatedBySender(Messages):
    """Of MTI-Net, for task k: F_k + sum_{l != k} sigmoid(V_kl * F_l) . (W_kl * F_l). With one task: F_k."""

    def __init__(self, task: str, tasks: Collection[str], channels: int) -> None:
        super().__init__(task, tasks, channels)
        self.gates = nn.ModuleDict({t: _convolution(channels) for t in self.messages})

    def told(self, features: Mapping[str, Tensor]) -> Tensor:
        """What the others tell the task, each where it finds that worth telling."""
        gates = {t: gate(features[t]).sigmoid() for t, gate in self.gates.items()}
        return torch.stack([gates[t] * message(features[t]) for t, message in self.messages.items()]).sum(0)


class Residual(nn.Module):
    """relu(f(x) + s(x)) with convolutions and batch norms f, a ReLU between each two, and s = x, or a convolution.

    Args:
        inputs: Channels of x.
        outputs: Those of the result; where they are others than `inputs`, s is a 1x1 convolution with batch norm.
        kernels: Of the convolutions of f. Between the first and the last of three there is a quarter of `outputs`.
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
