"""Gradients of one sign at every position of the representation."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.balance.objective import Balance
from tutelage.balance.on_gradients import GradientBalancer
from tutelage.balance.representation import cut_row
from tutelage.balance.task_gradients import Combined, TaskGradients
from tutelage.errors import UserError
from tutelage.types import Distiller, MultiTaskNet, Task, World


class GradDrop(GradientBalancer):
    """Gradient sign dropout (Chen et al., NeurIPS 2020, arXiv:2010.06808, algorithm 1), at the representation z.

        G_t = sum over images of sgn(z) dL_t/dz,   P = (1 + sum_t G_t / sum_t |G_t|) / 2,   u ~ U(0, 1) per position
        M_t = [P > u] [G_t > 0] + [P < u] [G_t < 0]
        update: sum_t (leak_t + (1 - leak_t) M_t) dL_t/dz

    for every tensor that the heads read, [B, ...] with the images first: the gradients of all tasks choose one sign per
    position, for all images, and gradients of the other sign are dropped there. Heads get their own task's gradient,
    unweighted.

    The authors' code (lingvo) multiplies the result by its norm over that of the sum; the paper does not, nor does this
    class. torchjd's aggregator, `Aggregator("GradDrop")`, chooses a sign for every position of every image, by the
    gradients alone, or for every parameter.

    Args:
        leak: The share of a task's gradient that passes unchanged, from 0 to 1: one for all objectives, or by name; 0
            for those that are not named.
        balance: What an objective is, as for `GradientBalancer`.

    Raises:
        ValueError: In `setup`, if `leak` is not a number from 0 to 1 or names no objective.
    """

    def __init__(self, leak: float | dict[str, float] = 0.0, balance: Balance = "task") -> None:
        super().__init__("representation", balance)
        self.leak = leak
        self._leaks: dict[str, list[float]] = {}  # by group

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Learn of the tasks."""
        super().setup(tasks, net, distiller)
        names = self.objectives.all_names()
        leaks = self.leak if isinstance(self.leak, dict) else dict.fromkeys(names, self.leak)
        for name, leak in leaks.items():
            if name not in names:
                raise UserError(f"balancer.leak: expected some of the tasks {', '.join(names)}, found `{name}`")
            if not 0 <= leak <= 1:
                raise UserError(f"balancer.leak: expected numbers from 0 to 1, found {leak} for `{name}`")
        self._leaks = {group: [leaks.get(name, 0.0) for name in named] for group, named in self.names.items()}

    def combine(self, gradients: TaskGradients) -> Combined:
        """sum_t (leak_t + (1 - leak_t) M_t) dL_t/dz."""
        own = gradients.matrices[0]
        vector = torch.zeros_like(own[0])
        leaks = [self._leaks[gradients.group][i] for i in gradients.index]
        rows = zip(*(cut_row(row, gradients.features) for row in own), strict=True)
        world = None if gradients.spread is None else gradients.spread.world
        if gradients.spread is not None and not gradients.spread.aligned():
            raise UserError(
                "GradDrop: expected images of every source in every process, whose gradients choose one sign per "
                "position, found a process without; raise train.batch_size, or lower train.devices"
            )
        for z, update, grads in zip(gradients.features, cut_row(vector, gradients.features), rows, strict=True):
            _add(update, z, grads, leaks, world)
        return Combined(vector=vector, own=True)


def _add(update: Tensor, z: Tensor, grads: tuple[Tensor, ...], leaks: list[float], world: World | None = None) -> None:
    """Add what passes to the update of one tensor [B, ...], in place, so that it keeps its memory layout."""
    sign = z.sign().to(update.dtype)
    g = [_over_images(sign, grad) for grad in grads]  # G_t, [...]
    if world is not None:  # images of other processes
        g = [x.copy_(world.sum(x.contiguous())) for x in g]  # as it lies in memory, as u is drawn
    sizes = [x.abs() for x in g]
    p = (1 + sum(g[1:], g[0]) / sum(sizes[1:], sizes[0])) / 2  # NaN where all gradients are 0
    u = torch.rand_like(p)
    positive, negative = p > u, p < u
    for x, leak, grad in zip(g, leaks, grads, strict=True):
        passes = (positive & (x > 0)) | (negative & (x < 0))  # M_t
        update.addcmul_(leak + (1 - leak) * passes, grad)


def _over_images(sign: Tensor, grad: Tensor) -> Tensor:
    """sum over images of sgn(z) dL_t/dz; image by image, since one sum over both is several times slower."""
    total = sign[0] * grad[0]
    for image_sign, image_grad in zip(sign[1:], grad[1:], strict=True):
        total.addcmul_(image_sign, image_grad)
    return total
