"""PLE and CGC: experts for all tasks beside experts of each task, level after level."""

from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import Any, Literal, cast

from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.nets.smp import Features, encode, parts
from tutelage.nets.soft_sharing import Gate, SoftSharing, at_least_one, mix, mix_all
from tutelage.nets.stages import check_stages, gathered, stage_channels, stages
from tutelage.nets.widths import resolve_tasks
from tutelage.types import Output

_SHARED = ""  # no task is called that


class PLE(SoftSharing):
    """Progressive Layered Extraction (Tang et al., RecSys 2020), with encoders of timm; with `levels: 1` it is CGC.

    Encoders are experts: some are shared, some each task's. They run in levels j = 1..L, a stage of the encoder or
    several. In level j the experts of task t read g_t^{j-1}, the shared ones g_s^{j-1}, and gates mix what they give:

        g_t^j = sum_e softmax(W_t^j p(g_t^{j-1}))_e E_e^j      over the experts e of task t and the shared ones
        g_s^j = sum_e softmax(W_s^j p(g_s^{j-1}))_e E_e^j      over all experts of all tasks; not in the last level

    with g^0 = the normalised image, continued to a multiple of the encoder's stride, and p the means over the cells of
    a grid. A level of several stages mixes the features of each with the same weights, for the decoder, and hands on
    the last. Decoder and head of task t read the features g_t. With `levels: 1`, Customized Gate Control, experts are
    whole encoders of any kind, and a plain ViT's class tokens are mixed, too. With `pretrained` all experts begin
    alike, and only the gates make them different.

    Taps, each {task: feature}, and of all tasks whatever predictions are asked for: `stage1`, `stage2`, ...,
    `bottleneck`, as `EncoderDecoder` has them, of the mixed features; `decoder`, the decoder's output [B, C, h, w];
    `last`, what the head reads: the same. Predictions are [B, width, H, W] for images of any size. The heads share no
    tensor: there is no boundary of representation gradients.

    A task's own are its experts in the last level, its gates in the last two, decoder and head; all else reaches other
    tasks through the shared gates. A single-task network has the task's experts and the shared ones.

    Source: "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized
    Recommendations", where experts are layers on vectors. LibMTL's PLE runs the shared experts on every task's features
    and has no shared gates; its gates have a bias and read all numbers, which fixes the size of the images.

    Args:
        widths: Channels of each task's head.
        encoder, decoder, pretrained, output_stride, encoder_args, decoder_args: As `EncoderDecoder` has them, of
            every encoder and decoder. With two levels or more the encoder has to run stage by stage: ResNet, ConvNeXt,
            Swin, ...; no plain ViT.
        shared_experts: How many encoders all tasks have.
        task_experts: How many encoders each task has.
        levels: L, among which the stages are divided evenly; None: as many as the encoder has stages.
        grid: The gates see an image or feature at grid x grid.

    Raises:
        ValueError: As `EncoderDecoder` has it, and where there is no expert of either kind, no level or no grid, there
            are more levels than stages, or the encoder does not run stage by stage.
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
        shared_experts: int = 1,
        task_experts: int = 1,
        levels: int | None = None,
        grid: int = 8,
    ) -> None:
        at_least_one(self, shared_experts=shared_experts, task_experts=task_experts, grid=grid)
        at_least_one(self, levels=1 if levels is None else levels)
        made = parts(self, encoder, decoder, pretrained, output_stride, encoder_args, decoder_args)
        ranges, reads = [range(0)], [3]  # the stages of each level, and the channels that its gates read
        if levels != 1:
            check_stages(self, made.encoder)
            channels = stage_channels(made.encoder)
            count = len(channels)
            levels = count if levels is None else levels
            if levels > count:
                raise UserError(
                    f"PLE.levels: expected at most the {count} stages that `{decoder}` has of `{encoder}`, found "
                    f"{levels}; lower it, or leave it out for a level a stage"
                )
            ends = [count * j // levels for j in range(levels + 1)]
            ranges = [range(*pair) for pair in pairwise(ends)]
            reads += [channels[end - 1] for end in ends[1:-1]]
        super().__init__(widths, made, widths)
        self.levels = ranges
        self.order = sorted(widths)  # of sums over tasks, whatever the order of `widths`
        self.shared = nn.ModuleList([made.encoder, *(made.another_encoder() for _ in range(shared_experts - 1))])
        self.experts = nn.ModuleDict(
            {task: nn.ModuleList(made.another_encoder() for _ in range(task_experts)) for task in widths}
        )
        seen = task_experts + shared_experts
        every = task_experts * len(widths) + shared_experts
        self.gates = nn.ModuleDict({task: nn.ModuleList(Gate(c, grid, seen) for c in reads) for task in widths})
        self.shared_gates = nn.ModuleList(Gate(c, grid, every) for c in reads[:-1])

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and the taps of all tasks, for images [B, 3, H, W]."""
        names = resolve_tasks(self, tasks, self.heads)
        x = self._enter(images)
        features = self._whole(x) if len(self.levels) == 1 else self._progressive(x)
        return self._output(names, features, x, images)

    def _whole(self, x: Tensor) -> dict[str, Features]:
        """CGC: one level, of whole encoders."""
        shared = [encode(expert, x) for expert in self.shared]
        features: dict[str, Features] = {}
        for task in self.order:
            own = [encode(expert, x) for expert in self._of(task)]
            features[task] = mix_all([*own, *shared], self._gate(task, 0)(x), x)
        return features

    def _progressive(self, x: Tensor) -> dict[str, Features]:
        """Level after level, of some stages each."""
        of = {task: [stages(expert) for expert in self._of(task)] for task in self.order}
        of[_SHARED] = [stages(expert) for expert in self.shared]
        g = dict.fromkeys([*self.order, _SHARED], x)  # g^{j-1}
        maps: dict[str, list[Tensor]] = {task: [] for task in self.order}
        for j, level in enumerate(self.levels):
            weights = {task: self._gate(task, j)(g[task]) for task in self.order}
            found = {name: [g[name]] * len(of[name]) for name in g}
            for k in level:
                found = {name: [s[k](f) for s, f in zip(of[name], found[name], strict=True)] for name in g}  # E^j
                for task in self.order:
                    maps[task].append(mix([*found[task], *found[_SHARED]], weights[task]))
            if j < len(self.shared_gates):
                every = [f for name in g for f in found[name]]
                shared = mix(every, self.shared_gates[j](g[_SHARED]))
                g = {**{task: maps[task][-1] for task in self.order}, _SHARED: shared}
        return {task: gathered(self.shared[0], maps[task], x) for task in self.order}

    def _of(self, task: str) -> nn.ModuleList:
        return cast(nn.ModuleList, self.experts[task])

    def _gate(self, task: str, level: int) -> nn.Module:
        return cast(nn.ModuleList, self.gates[task])[level]

    def _own(self, task: str) -> Iterable[nn.Parameter]:
        for gate in cast(nn.ModuleList, self.gates[task])[-2:]:
            yield from gate.parameters()
        for expert in self._of(task):
            if len(self.levels) == 1:
                yield from expert.parameters()
            else:
                for k in self.levels[-1]:
                    yield from stages(expert)[k].parameters()
