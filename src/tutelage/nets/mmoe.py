"""MMoE: several encoders for all tasks, and a gate a task that mixes them."""

from collections.abc import Collection, Iterable
from typing import Any, Literal

from torch import Tensor, nn

from tutelage.nets.smp import encode, parts
from tutelage.nets.soft_sharing import Gate, SoftSharing, at_least_one, mix_all
from tutelage.nets.widths import resolve_tasks
from tutelage.types import Output


class MMoE(SoftSharing):
    """The Multi-gate Mixture-of-Experts (Ma et al., KDD 2018), with encoders of timm as experts.

    All tasks share the experts f_e. A task t mixes what they give of an image x, in its own way:

        g_t(x) = softmax(W_t p(x)),    f_t(x) = sum_e g_te(x) f_e(x)

    for every feature of the encoder, from fine to coarse, a plain ViT's class tokens too. p(x) is the normalised image,
    continued to a multiple of the encoder's stride and averaged over the cells of a grid. Decoder and head of the task
    read f_t. With `pretrained` all experts begin alike, and only the gates make them different.

    Taps, each {task: feature}, and of all tasks whatever predictions are asked for: `stage1`, `stage2`, ...,
    `bottleneck`, as `EncoderDecoder` has them, of the mixed features; `decoder`, the decoder's output [B, C, h, w];
    `last`, what the head reads: the same. Predictions are [B, width, H, W] for images of any size. The heads share no
    tensor: there is no boundary of representation gradients.

    The experts are shared; gate, decoder and head are the task's own. A single-task network has as many experts.

    Source: "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", where experts are
    layers on a vector, which is also what the gates read. LibMTL takes whole encoders, as here, and gives the gates a
    bias and all pixels, which fixes the size of the images; here they read the grid.

    Args:
        widths: Channels of each task's head.
        encoder, decoder, pretrained, output_stride, encoder_args, decoder_args: As `EncoderDecoder` has them, of
            every encoder and decoder.
        experts: How many encoders.
        grid: The gates see the image at grid x grid.

    Raises:
        ValueError: As `EncoderDecoder` has it, and where there is no expert or no grid.
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
        at_least_one(self, experts=experts, grid=grid)
        made = parts(self, encoder, decoder, pretrained, output_stride, encoder_args, decoder_args)
        super().__init__(widths, made, widths)
        self.experts = nn.ModuleList([made.encoder, *(made.another_encoder() for _ in range(experts - 1))])
        self.gates = nn.ModuleDict({task: Gate(3, grid, experts) for task in widths})

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and the taps of all tasks, for images [B, 3, H, W]."""
        names = resolve_tasks(self, tasks, self.heads)
        x = self._enter(images)
        found = [encode(expert, x) for expert in self.experts]  # f_e(x)
        features = {t: mix_all(found, gate(x), x) for t, gate in self.gates.items()}
        return self._output(names, features, x, images)

    def _own(self, task: str) -> Iterable[nn.Parameter]:
        return self.gates[task].parameters()
