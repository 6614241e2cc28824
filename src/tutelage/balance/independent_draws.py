"""Methods that compare gradients of independent batches: MoDo and SDMGrad."""

from collections.abc import Mapping
from typing import Any, Literal

import torch

from tutelage.balance.aggregator import takes_gramian
from tutelage.balance.objective import Balance
from tutelage.balance.on_gradients import GradientBalancer
from tutelage.balance.task_gradients import Combined, TaskGradients
from tutelage.balance.torchjd import make, verify
from tutelage.balance.torchjd_state import of_some
from tutelage.errors import UserError
from tutelage.types import Distiller, MultiTaskNet, Task


class IndependentDraws(GradientBalancer):
    """Weights from J_1 J_2^T, whose Jacobians are of two independent batches, which no noise of one batch biases.

    With two draws the update is w^T (J_1 + J_2) / 2, with three w^T J_3. A step takes that many batches from the order
    of the images: a run has as many steps as with any other method, and sees two or three times as many images. Heads
    get their own task's gradient, unweighted, of the batches of the update; distillation terms (`balance: task`) are
    those of the same batches. It acts on the parameters only: representations of different images have no common
    coordinates.

    Source: MoDo (Chen et al., JMLR 2024, arXiv:2305.20057) and SDMGrad (Xiao et al., NeurIPS 2023, arXiv:2305.18409),
    as torchjd implements them. A task without a label in the batches of the update keeps its weight; one without a
    label only in the other batches has a zero gradient there.

    Args:
        method: `MoDoWeighting` or `SDMGradWeighting` of torchjd, or the import path of a `Weighting` of a product
            of Jacobians.
        arguments: Of its constructor.
        draws: 2, as in MoDo, or 3, as in SDMGrad and the published script of MoDo.
        balance: What an objective is, as for `GradientBalancer`.
    """

    def __init__(
        self,
        method: str,
        arguments: dict[str, Any] | None = None,
        draws: Literal[2, 3] = 3,
        balance: Balance = "task",
    ) -> None:
        super().__init__("parameters", balance)
        self.method, self.arguments, self.draws = method, dict(arguments or {}), draws
        self.updates = (0, 1) if draws == 2 else (2,)

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Build the weightings."""
        from torchjd import aggregation  # here, since with its solvers it takes a second to import

        super().setup(tasks, net, distiller)
        for group, names in self.names.items():
            other_names = set(self.objectives.all_names()) - set(names)
            method = make(
                aggregation, aggregation.Weighting, self.method, self.arguments, names, self._device, other_names
            )
            if takes_gramian(method):
                raise UserError(
                    f"balancer.method: expected a weighting of two Jacobians' product, such as MoDoWeighting, found "
                    f"`{self.method}`, which reads the Gramian of one; use the class tutelage.balance.Aggregator"
                )
            verify(method, torch.eye(len(names), device=self._device), self.method, len(names))
            self.methods[group] = method

    def combine(self, gradients: TaskGradients) -> Combined:
        """w from J_1 J_2^T, and the update."""
        first, second = gradients.matrices[:2]
        product = first @ second.T * len(self.updates) ** 2  # rows hold the parts of the update
        method, count = self.methods[gradients.group], len(self.names[gradients.group])
        if len(gradients.names) == count:
            weights = method(product)
        else:
            with of_some(method, gradients.index, count):
                weights = method(product)
        return Combined(weights, weights @ torch.stack([gradients.matrices[draw] for draw in self.updates]).sum(0))
