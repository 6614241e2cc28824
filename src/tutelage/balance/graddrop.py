"""Gradients of one sign at every position of the representation."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.balance.objective import Balance
from tutelage.balance.on_gradients import Combined, GradientBalancer, TaskGradients
from tutelage.balance.representation import parts
from tutelage.errors import UserError
from tutelage.types import Distiller, MultiTaskNet, Task


class GradDrop(GradientBalancer):
    """Gradient sign dropout (Chen et al., NeurIPS 2020, arXiv:2010.06808, algorithm 1), at the representation z.

    G_t = sum over images of sgn(z) dL_t/dz,   P = (1 + sum_t G_t / sum_t |G_t|) / 2,   u ~ U(0, 1) at every position
    M_t = [P > u] [G_t > 0] + [P < u] [G_t < 0]
    update: sum_t (leak_t + (1 - leak_t) M_t) dL_t/dz

    for every tensor that the heads read, [B, ...] with the images first: one sign is chosen for a position of all
    images, by what the tasks say of it together, and a task that says otherwise is not heard there. Heads get their own
    task's gradient, unweighted.

    The authors' code (lingvo) multiplies the result by its norm over that of the sum; the paper does not, nor does this
    class. torchjd's aggregator, `Aggregator("GradDrop")`, chooses a sign for every position of every image, by the
    gradients alone, or for every parameter.

    Args:
        leak: how much of a task's gradient passes unchanged, from 0 to 1: of all tasks, or by task; others 0.
        balance: what an objective is, as for `GradientBalancer`.

    Raises:
        ValueError: In `setup`, where `leak` is no number from 0 to 1 or names an unknown task.
    """

    def __init__(self, leak: float | dict[str, float] = 0.0, balance: Balance = "task") -> None:
        super().__init__("representation", balance)
        self.leak = leak
        self._leaks: list[float] = []

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Learn of the tasks."""
        super().setup(tasks, net, distiller)
        by_task = self.leak if isinstance(self.leak, dict) else dict.fromkeys(tasks, self.leak)
        for t, leak in by_task.items():
            if t not in tasks:
                raise UserError(f"balancer.leak: expected some of the tasks {', '.join(tasks)}, found `{t}`")
            if not 0 <= leak <= 1:
                raise UserError(f"balancer.leak: expected numbers from 0 to 1, found {leak} for `{t}`")
        self._leaks = [by_task.get(t, 0.0) for t in tasks]

    def combine(self, found: TaskGradients) -> Combined:
        """sum_t (leak_t + (1 - leak_t) M_t) dL_t/dz."""
        vector = torch.zeros_like(found.matrix[0])
        leaks = [self._leaks[i] for i in found.index]
        rows = zip(*(parts(row, found.features) for row in found.matrix), strict=True)
        for z, update, grads in zip(found.features, parts(vector, found.features), rows, strict=True):
            _add(update, z, grads, leaks)
        return Combined(vector=vector)


def _add(update: Tensor, z: Tensor, grads: tuple[Tensor, ...], leaks: list[float]) -> None:
    """Add what passes to the update of one tensor [B, ...]; in lists, which keep the memory layout."""
    sign = z.sign().to(update.dtype)
    g = [_over_images(sign, grad) for grad in grads]  # G_t, [...]
    sizes = [x.abs() for x in g]
    p = (1 + sum(g[1:], g[0]) / sum(sizes[1:], sizes[0])) / 2  # no number where no task says anything
    u = torch.rand_like(p)
    positive, negative = p > u, p < u
    for x, leak, grad in zip(g, leaks, grads, strict=True):
        passes = (positive & (x > 0)) | (negative & (x < 0))  # M_t
        update.addcmul_(leak + (1 - leak) * passes, grad)


def _over_images(sign: Tensor, grad: Tensor) -> Tensor:
    """sum over images of sgn(z) dL_t/dz; image by image, since one sum over both is several times slower."""
    total = sign[0] * grad[0]
    for one, other in zip(sign[1:], grad[1:], strict=True):
        total.addcmul_(one, other)
    return total
