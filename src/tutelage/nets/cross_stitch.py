"""Cross-stitch networks: an encoder a task, whose features are exchanged after every stage."""

from collections.abc import Collection, Iterable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from tutelage.nets.smp import Features, encode, parts
from tutelage.nets.soft_sharing import SoftSharing, weighted
from tutelage.nets.stages import check_stages, gathered, stage_channels, stages
from tutelage.nets.widths import resolve_tasks
from tutelage.types import Output


class CrossStitch(SoftSharing):
    """Cross-stitch networks (Misra, Shrivastava, Gupta and Hebert, CVPR 2016), on timm's encoders.

    Every task t has an encoder, a decoder and a head of its own. After each stage of the encoders a unit mixes their
    features x_t [B, C, h, w], channel by channel,

        x_t <- sum_s alpha_ts * x_s

    over all tasks s; the result is what the next stage of task t's encoder reads, and its decoder. A unit's alpha_ts
    [C] (a number without `per_channel`) begin as `alpha_same` where s = t, else as `alpha_different`. With one task
    there is no unit: the network is that of `EncoderDecoder`, and its tensors have the names that they have beside
    other tasks.

    Taps, each {task: feature}, and of all tasks whatever predictions are asked for: `stage1`, `stage2`, ...,
    `bottleneck`, as `EncoderDecoder` has them, of the mixed features; `decoder`, the decoder's output [B, C, h, w];
    `last`, what the head reads: the same. Predictions are [B, width, H, W] for images of any size. The heads share no
    tensor: there is no boundary of representation gradients.

    A task's own are the coefficients alpha_t of the last unit, decoder and head. All else reaches two tasks or more.

    Source: arXiv:1604.03539, which mixes AlexNet's pooled features, with units a channel (section 5), and found
    (0.9, 0.1) the best start of those that sum to 1 (table 1). Differs: any encoder, any number of tasks, dense
    decoders. The paper begins with trained single-task networks (table 3), and gives the units 100 to 1000 times the
    learning rate (table 2); here they have the optimiser's.

    Args:
        widths: Channels of each task's head.
        encoder, decoder, pretrained, output_stride, encoder_args, decoder_args: As `EncoderDecoder` has them, of
            every encoder and decoder. The encoder has to run stage by stage: ResNet, ConvNeXt, Swin, ...; no plain ViT.
        per_channel: Coefficients a channel; otherwise one for all.
        alpha_same: The weight of a task's own feature at the start.
        alpha_different: That of each other task's; None: what is missing to 1, in equal parts.

    Raises:
        ValueError: As `EncoderDecoder` has it, and where the encoder does not run stage by stage.
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
        per_channel: bool = True,
        alpha_same: float = 0.9,
        alpha_different: float | None = None,
    ) -> None:
        made = parts(self, encoder, decoder, pretrained, output_stride, encoder_args, decoder_args)
        check_stages(self, made.encoder)
        super().__init__(widths, made, widths)
        self.encoders = nn.ModuleDict(
            {task: made.another_encoder() if i else made.encoder for i, task in enumerate(widths)}
        )
        self.order = sorted(widths)  # of the sums, whatever the order of `widths`
        self.units = nn.ModuleList()
        if len(widths) > 1:
            rest = (1 - alpha_same) / (len(widths) - 1) if alpha_different is None else alpha_different
            for channels in stage_channels(made.encoder):
                start = {t: [alpha_same if s == t else rest for s in self.order] for t in self.order}
                shape = (len(widths), channels if per_channel else 1)
                rows = {t: torch.tensor(row)[:, None].expand(shape).clone() for t, row in start.items()}
                self.units.append(nn.ParameterDict({t: nn.Parameter(row) for t, row in rows.items()}))

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and the taps of all tasks, for images [B, 3, H, W]."""
        names = resolve_tasks(self, tasks, self.heads)
        x = self._enter(images)
        if not self.units:
            return self._output(names, {t: encode(net, x) for t, net in self.encoders.items()}, x, images)
        by_task = {t: stages(net) for t, net in self.encoders.items()}
        current = dict.fromkeys(self.order, x)
        maps: dict[str, list[Tensor]] = {t: [] for t in self.order}
        for k, unit in enumerate(self.units):
            found = [by_task[t][k](current[t]) for t in self.order]
            alpha = cast(nn.ParameterDict, unit)
            current = {t: weighted(found, alpha[t][..., None, None].unbind()) for t in self.order}
            for t, f in current.items():
                maps[t].append(f)
        features: dict[str, Features] = {t: gathered(self.encoders[t], maps[t], x) for t in self.order}
        return self._output(names, features, x, images)

    def _own(self, task: str) -> Iterable[nn.Parameter]:
        return [cast(nn.ParameterDict, self.units[-1])[task]]
