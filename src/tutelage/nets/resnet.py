"""A residual network for classes and numbers of whole images: a shared trunk, and one linear head per task."""

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad, relu

from tutelage.errors import UserError
from tutelage.nets.widths import check_widths, resolve_tasks
from tutelage.types import MultiTaskNet, Output

Norm = Literal["batch", "group"]
_GROUP = 16  # channels of a group


class ResNet(MultiTaskNet):
    """The ResNet-26 of the Visual Decathlon's literature (Rebuffi et al., NeurIPS 2017), with one head per task.

    A 3x3 convolution with stride 1 to half the filters of the first stage, and a norm; stages of `blocks` residual
    units, the first of each with stride 2; a last norm; the mean over all positions; one linear head per task. A unit
    is

        y = relu(norm(conv(relu(norm(conv(x))))) + shortcut(x))

    with 3x3 convolutions without bias. The shortcut is x or, in the first unit of a stage, the mean over 2x2 positions
    with zeros for the added channels: no shortcut has weights. Convolutions are initialised normal with variance
    2 / (9 x filters) (He et al., 2015, for the backward pass), heads as PyTorch's.

    Taps: `stage1`, `stage2`, ...: the output of each stage [B, C_k, H/2^k, W/2^k], odd sizes rounded up; `bottleneck`,
    that of the last; `last`, what the heads read [B, C], which is also the shared boundary for representation
    gradients. Predictions are [B, width]. Images can have any size from 8x8 on (2^k x 2^k with k stages).

    With one task of 10 classes it has 5,817,258 parameters.

    Source: Rebuffi et al., "Learning multiple visual domains with residual adapters", NeurIPS 2017, without adapters
    and domain-specific norms. It equals the teachers and the student in the code of the authors' follow-up
    (arXiv:2204.02744), which has no ReLU after the last norm, while Rebuffi et al. have one. Differs from both: images
    are in 0..1, while theirs are standardised per domain; odd sizes; `norm="group"`.

    Args:
        widths: Outputs of each task's head.
        filters: Channels of each stage; they must not decrease.
        blocks: Residual units per stage.
        norm: `batch`, or `group`: over groups of 16 channels of each image (over all channels, if 16 does not divide
            their number; Wu and He, ECCV 2018), so that domains with different statistics share no running mean.

    Raises:
        ValueError: There is no task; a width, `filters` or `blocks` does not fit; an image is too small.
    """

    def __init__(
        self,
        widths: dict[str, int],
        filters: Sequence[int] = (64, 128, 256),
        blocks: int = 4,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        check_widths(self, widths)
        channels = [max(1, filters[0] // 2), *filters] if filters else []
        if not filters or min(filters) < 1 or any(a > b for a, b in pairwise(channels)):
            raise UserError(
                f"ResNet: expected `filters` of one stage or more that do not decrease, found {list(filters)}"
            )
        if blocks < 1:
            raise UserError(f"ResNet: expected at least one block per stage, found {blocks}")
        self.stem = nn.Sequential(nn.Conv2d(3, channels[0], 3, padding=1, bias=False), _norm(norm, channels[0]))
        self.stages = nn.ModuleList(
            nn.Sequential(_Unit(a, b, 2, norm), *(_Unit(b, b, 1, norm) for _ in range(blocks - 1)))
            for a, b in pairwise(channels)
        )
        self.norm = _norm(norm, channels[-1])
        self.heads = nn.ModuleDict({task: nn.Linear(channels[-1], outputs) for task, outputs in widths.items()})
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor, tasks: Collection[str] | None = None) -> Output:
        """Predictions [B, width] of `tasks` (None: all) and the taps, for images [B, 3, H, W]."""
        least = 2 ** len(self.stages)
        if min(images.shape[2:]) < least:
            raise UserError(
                f"ResNet: expected images of at least {least}x{least}, found {tuple(images.shape[2:])}; enlarge them "
                "or take fewer stages"
            )
        names = resolve_tasks(self, tasks, self.heads)
        x = self.stem(images)
        taps: dict[str, Tensor | dict[str, Tensor]] = {}
        for number, stage in enumerate(self.stages, 1):
            x = stage(x)
            taps[f"stage{number}"] = x
        last = self.norm(x).mean((2, 3))  # [B, C]
        predictions = {task: self.heads[task](last) for task in names}
        return Output(predictions, {**taps, "bottleneck": x, "last": last}, (last,))

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """The parameters of the task's head; in a single-task network, all."""
        (task,) = resolve_tasks(self, [task], self.heads)
        return list(self.parameters() if len(self.heads) == 1 else self.heads[task].parameters())

    def shared_parameters(self) -> list[nn.Parameter]:
        """All parameters but those of the heads; in a single-task network, none."""
        shared = (self.stem, self.stages, self.norm)
        return [] if len(self.heads) == 1 else [p for module in shared for p in module.parameters()]


class _Unit(nn.Module):
    """relu(norm(conv(relu(norm(conv(x))))) + shortcut(x))."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            _norm(norm, outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            _norm(norm, outputs),
        )
        self.stride, self.added = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        if self.stride == 2:  # sizes are rounded up, as by the convolution: a window at the edge has fewer positions
            shortcut = pad(avg_pool2d(x, 2, ceil_mode=True), (0, 0, 0, 0, 0, self.added))
        return relu(self.residual(x) + shortcut)


def _norm(norm: Norm, channels: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(channels // _GROUP if channels % _GROUP == 0 else 1, channels)
