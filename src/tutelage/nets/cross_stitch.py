"""Cross-stitch networks: one encoder per task, and units that mix the features of the tasks after every stage."""

from collections.abc import Collection, Iterable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from tutelage.nets.smp import Features, build_parts, encode
from tutelage.nets.soft_sharing import SoftSharing, weighted_sum
from tutelage.nets.stages import check_stages, gather_features, split_stages, stage_channels
from tutelage.nets.widths import resolve_tasks
from tutelage.types import Output


class CrossStitch(SoftSharing):
    """Cross-stitch networks (Misra, Shrivastava, Gupta and Hebert, CVPR 2016), on timm's encoders.

    Every task t has its own encoder, decoder and head. After each stage of the encoders a unit mixes their features
    x_t [B, C, h, w], channel by channel,

        x_t <- sum_s alpha_ts * x_s

    over all tasks s. The next stage of task t's encoder and its decoder read the result. The alpha_ts of a unit [C]
    (one number without `per_channel`) are initialised to `alpha_same` where s = t, else to `alpha_different`. With one
    task there are no units: the network is that of `EncoderDecoder`, and its tensors have the same names as beside
    other tasks.

    Taps, each {task: feature} of all tasks, whichever predictions are requested: `stage1`, `stage2`, ..., `bottleneck`,
    as in `EncoderDecoder`, of the mixed features; `decoder`, the decoder's output [B, C, h, w]; `last`, what the head
    reads: the same. Predictions are [B, width, H, W] for images of any size. The heads share no tensor, so there is no
    boundary for representation gradients.

    The coefficients alpha_t of the last unit, the decoder and the head belong to task t. Everything else is shared.

    Source: arXiv:1604.03539, which mixes AlexNet's pooled features, with one unit per channel (section 5); of the
    initial values that sum to 1, (0.9, 0.1) are its best (table 1). Differs: any encoder, any number of tasks, dense
    decoders. The paper starts from trained single-task networks (table 3), and its units have 100 to 1000 times the
    learning rate (table 2); here they have the optimiser's.

    `encoder`, `decoder`, `pretrained`, `output_stride`, `encoder_args` and `decoder_args` are as in
    `EncoderDecoder`, for every encoder and decoder. The encoder has to run stage by stage: ResNet, ConvNeXt, Swin, ...;
    no plain ViT.

    Args:
        widths: Channels of each task's head.
        per_channel: One coefficient per channel; otherwise one for all channels.
        alpha_same: The initial weight of a task's own feature.
        alpha_different: The initial weight of each other task's feature; None: (1 - alpha_same) in equal parts.

    Raises:
        ValueError: As in `EncoderDecoder`; or the encoder does not run stage by stage.
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
        parts = build_parts(self, encoder, decoder, pretrained, output_stride, encoder_args, decoder_args)
        check_stages(self, parts.encoder)
        super().__init__(widths, parts, widths)
        self.encoders = nn.ModuleDict(
            {task: parts.build_encoder() if i else parts.encoder for i, task in enumerate(widths)}
        )
        self.order = sorted(widths)  # so that sums do not depend on the order of `widths`
        self.units = nn.ModuleList()
        if len(widths) > 1:
            rest = (1 - alpha_same) / (len(widths) - 1) if alpha_different is None else alpha_different
            for channels in stage_channels(parts.encoder):
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
        by_task = {t: split_stages(net) for t, net in self.encoders.items()}
        current = dict.fromkeys(self.order, x)
        maps: dict[str, list[Tensor]] = {t: [] for t in self.order}
        for k, unit in enumerate(self.units):
            xs = [by_task[t][k](current[t]) for t in self.order]
            alpha = cast(nn.ParameterDict, unit)
            current = {t: weighted_sum(xs, alpha[t][..., None, None].unbind()) for t in self.order}
            for t, f in current.items():
                maps[t].append(f)
        features: dict[str, Features] = {t: gather_features(self.encoders[t], maps[t], x) for t in self.order}
        return self._output(names, features, x, images)

    def _own(self, task: str) -> Iterable[nn.Parameter]:
        return [cast(nn.ParameterDict, self.units[-1])[task]]
