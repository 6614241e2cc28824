"""PLE and CGC: levels of experts, some shared by all tasks and some of one task."""

from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import Any, Literal, cast

from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.nets.smp import Features, build_parts, encode
from tutelage.nets.soft_sharing import Gate, SoftSharing, check_positive, mix, mix_all
from tutelage.nets.stages import check_stages, gather_features, split_stages, stage_channels
from tutelage.nets.widths import resolve_tasks
from tutelage.types import Output

_SHARED = ""  # a key beside the names of tasks, none of which is empty


class PLE(SoftSharing):
    """Progressive Layered Extraction (Tang et al., RecSys 2020), with encoders of timm; with `levels: 1` it is CGC.

    The experts are encoders; some are shared, some belong to one task. They run in levels j = 1..L, each of one or more
    stages of the encoder. In level j the experts of task t read g_t^{j-1}, the shared ones g_s^{j-1}, and gates mix
    their features:

        g_t^j = sum_e softmax(W_t^j p(g_t^{j-1}))_e E_e^j      over the experts e of task t and the shared ones
        g_s^j = sum_e softmax(W_s^j p(g_s^{j-1}))_e E_e^j      over all experts of all tasks; not in the last level

    with g^0 = the normalised and padded image, and p the means over the cells of a grid. A level of several stages
    mixes the features of every stage with the same weights, for the decoder, and passes the last one on. Decoder and
    head of task t read the features g_t. With `levels: 1` (Customized Gate Control) experts are whole encoders of any
    kind, and the class tokens of a plain ViT are mixed, too. With `pretrained` all experts start from the same weights,
    and only the gates make them differ.

    Taps, each {task: feature} of all tasks, whichever predictions are requested: `stage1`, `stage2`, ..., `bottleneck`,
    as in `EncoderDecoder`, of the mixed features; `decoder`, the decoder's output [B, C, h, w]; `last`, what the head
    reads: the same. Predictions are [B, width, H, W] for images of any size. The heads share no tensor, so there is no
    boundary for representation gradients.

    The experts of task t in the last level, its gates in the last two, its decoder and its head belong to the task;
    everything else reaches other tasks through the shared gates. A single-task network has the experts of its task and
    the shared ones.

    Source: "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized
    Recommendations", where experts are layers on vectors. LibMTL's PLE runs the shared experts on the features of every
    task and has no shared gates; its gates have a bias and read all values, which fixes the size of the images.

    `encoder`, `decoder`, `pretrained`, `output_stride`, `encoder_args` and `decoder_args` are as in
    `EncoderDecoder`, for every encoder and decoder. With two levels or more the encoder has to run stage by stage:
    ResNet, ConvNeXt, Swin, ...; no plain ViT.

    Args:
        widths: Channels of each task's head.
        shared_experts: Number of encoders that all tasks share.
        task_experts: Number of encoders of each task.
        levels: L; the stages are divided evenly among the levels. None: one level per stage.
        grid: The gates read an image or feature at grid x grid.

    Raises:
        ValueError: As in `EncoderDecoder`; or `shared_experts`, `task_experts`, `levels` or `grid` is below 1,
            there are more levels than stages, or the encoder does not run stage by stage.
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
        check_positive(self, shared_experts=shared_experts, task_experts=task_experts, grid=grid)
        check_positive(self, levels=1 if levels is None else levels)
        parts = build_parts(self, encoder, decoder, pretrained, output_stride, encoder_args, decoder_args)
        ranges, reads = [range(0)], [3]  # the stages of each level, and the channels that its gates read
        if levels != 1:
            check_stages(self, parts.encoder)
            channels = stage_channels(parts.encoder)
            count = len(channels)
            levels = count if levels is None else levels
            if levels > count:
                raise UserError(
                    f"PLE.levels: expected at most the {count} stages that `{decoder}` has of `{encoder}`, found "
                    f"{levels}; lower it, or leave it out for one level per stage"
                )
            ends = [count * j // levels for j in range(levels + 1)]
            ranges = [range(*pair) for pair in pairwise(ends)]
            reads += [channels[end - 1] for end in ends[1:-1]]
        super().__init__(widths, parts, widths)
        self.levels = ranges
        self.order = sorted(widths)  # so that sums do not depend on the order of `widths`
        self.shared = nn.ModuleList([parts.encoder, *(parts.build_encoder() for _ in range(shared_experts - 1))])
        self.experts = nn.ModuleDict(
            {task: nn.ModuleList(parts.build_encoder() for _ in range(task_experts)) for task in widths}
        )
        own = task_experts + shared_experts
        every = task_experts * len(widths) + shared_experts
        self.gates = nn.ModuleDict({task: nn.ModuleList(Gate(c, grid, own) for c in reads) for task in widths})
        self.shared_gates = nn.ModuleList(Gate(c, grid, every) for c in reads[:-1])

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions of `tasks` (None: all) and the taps of all tasks, for images [B, 3, H, W]."""
        names = resolve_tasks(self, tasks, self.heads)
        x = self._enter(images)
        features = self._whole(x) if len(self.levels) == 1 else self._progressive(x)
        return self._output(names, features, x, images)

    def _whole(self, x: Tensor) -> dict[str, Features]:
        """The features of each task with one level of whole encoders (CGC)."""
        shared = [encode(expert, x) for expert in self.shared]
        features: dict[str, Features] = {}
        for task in self.order:
            own = [encode(expert, x) for expert in self._of(task)]
            features[task] = mix_all([*own, *shared], self._gate(task, 0)(x), x)
        return features

    def _progressive(self, x: Tensor) -> dict[str, Features]:
        """The features of each task with several levels of stages."""
        experts = {task: [split_stages(expert) for expert in self._of(task)] for task in self.order}
        experts[_SHARED] = [split_stages(expert) for expert in self.shared]
        g = dict.fromkeys([*self.order, _SHARED], x)  # g^{j-1}
        maps: dict[str, list[Tensor]] = {task: [] for task in self.order}
        for j, level in enumerate(self.levels):
            weights = {task: self._gate(task, j)(g[task]) for task in self.order}
            xs = {name: [g[name]] * len(experts[name]) for name in g}
            for k in level:
                xs = {name: [e[k](x) for e, x in zip(experts[name], xs[name], strict=True)] for name in g}  # E^j
                for task in self.order:
                    maps[task].append(mix([*xs[task], *xs[_SHARED]], weights[task]))
            if j < len(self.shared_gates):
                every = [x for name in g for x in xs[name]]
                shared = mix(every, self.shared_gates[j](g[_SHARED]))
                g = {**{task: maps[task][-1] for task in self.order}, _SHARED: shared}
        return {task: gather_features(self.shared[0], maps[task], x) for task in self.order}

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
                    yield from split_stages(expert)[k].parameters()
