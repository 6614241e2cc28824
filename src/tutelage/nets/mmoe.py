"""MMoE: several encoders shared by all tasks, and one gate per task that mixes their features."""

from collections.abc import Collection, Iterable
from typing import Any, Literal

from torch import Tensor, nn

from tutelage.nets.smp import build_parts, encode
from tutelage.nets.soft_sharing import Gate, SoftSharing, check_positive, mix_all
from tutelage.nets.widths import resolve_tasks
from tutelage.types import Output


class MMoE(SoftSharing):
    """The Multi-gate Mixture-of-Experts (Ma et al., KDD 2018), with encoders of timm as experts.

    All tasks share the experts f_e. The gate of task t mixes their features of an image x:

        g_t(x) = softmax(W_t p(x)),    f_t(x) = sum_e g_te(x) f_e(x)

    for every feature of the encoder, from fine to coarse, and the class tokens of a plain ViT. p(x) is the normalised
    and padded image, averaged over the cells of a grid. Decoder and head of the task read f_t. With `pretrained` all
    experts start from the same weights, and only the gates make them differ.

    Taps, each {task: feature} of all tasks, whichever predictions are requested: `stage1`, `stage2`, ..., `bottleneck`,
    as in `EncoderDecoder`, of the mixed features; `decoder`, the decoder's output [B, C, h, w]; `last`, what the head
    reads: the same. Predictions are [B, width, H, W] for images of any size. The heads share no tensor, so there is no
    boundary for representation gradients.

    The experts are shared; gate, decoder and head belong to their task. A single-task network has as many experts.

    Source: "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", where experts are
    layers on a vector, which the gates read, too. LibMTL has whole encoders as experts, as here; its gates have a bias
    and read all pixels, which fixes the size of the images, while these read the grid.

    `encoder`, `decoder`, `pretrained`, `output_stride`, `encoder_args` and `decoder_args` are as in
    `EncoderDecoder`, for every encoder and decoder.

    Args:
        widths: Channels of each task's head.
        experts: Number of encoders.
        grid: The gates read the image at grid x grid.

    Raises:
        ValueError: As in `EncoderDecoder`; or `experts` or `grid` is below 1.
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
        experts: int = 3,
        grid: int = 8,
    ) -> None:
        check_positive(self, experts=experts, grid=grid)
        parts = build_parts(self, encoder, decoder, pretrained, output_stride, encoder_args, decoder_args)
        super().__init__(widths, parts, widths)
        self.experts = nn.ModuleList([parts.encoder, *(parts.build_encoder() for _ in range(experts - 1))])
        self.gates = nn.ModuleDict({task: Gate(3, grid, experts) for task in widths})

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and the taps of all tasks, for images [B, 3, H, W]."""
        names = resolve_tasks(self, tasks, self.heads)
        x = self._enter(images)
        of_experts = [encode(expert, x) for expert in self.experts]  # f_e(x)
        features = {t: mix_all(of_experts, gate(x), x) for t, gate in self.gates.items()}
        return self._output(names, features, x, images)

    def _own(self, task: str) -> Iterable[nn.Parameter]:
        return self.gates[task].parameters()
