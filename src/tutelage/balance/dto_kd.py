"""Task loss and distillation loss as two objectives, balanced at the gradient in closed form."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from tutelage.balance.objective import Balance, Objectives, ObjectiveTerm
from tutelage.balance.on_gradients import GradientBalancer, Where
from tutelage.balance.task_gradients import Combined, TaskGradients
from tutelage.errors import UserError, positive_number
from tutelage.types import Distiller, MultiTaskNet, Task, Term, Terms

LABELS, TEACHERS = "labels", "teachers"  # the names of the two objectives, in weights and in the log


class TwoObjectives(Objectives):
    """What is balanced are o_labels, the sum of all l_t, and o_teachers, the sum of all d_k."""

    def __init__(self, balance: Balance, tasks: Collection[str] = (), distiller: Distiller | None = None) -> None:
        super().__init__(balance, tasks, distiller)
        self.names = {"task": [LABELS, TEACHERS]}
        self._tasks = tuple(tasks)

    def tasks(self, group: str, name: str) -> tuple[str, ...]:
        """All tasks: distilled predictions reach the heads, too."""
        return self._tasks

    def gather(self, terms: Terms) -> tuple[dict[str, dict[str, list[ObjectiveTerm]]], list[Term]]:
        """The terms of both; one that has none in a step is absent."""
        distances = {key: term for key, term in terms.distill.items() if key not in self.references}
        both: Mapping[str, Mapping[str, Term]] = {LABELS: terms.task, TEACHERS: distances}
        groups = {name: [ObjectiveTerm(x) for x in of.values()] for name, of in both.items() if of}
        return {"task": groups}, [term for key, term in terms.distill.items() if key in self.references]


class DTOKD(GradientBalancer):
    """Dynamic trade-off optimisation for distillation (DTO-KD, Hayder et al., ICLR 2026), the successor of MoKD.

    The update is pi_1 g_1 + pi_2 g_2,  g_1 = grad log sum_t l_t,  g_2 = grad log sum_k d_k,
    pi_1 = (g_2.g_2 - g_1.g_2) / |g_1 - g_2|^2,  pi_2 = 1 - pi_1,  both within [0, 1]

    the shortest vector between g_1 and g_2. Within the bounds it has the same product with both, so that neither is in
    conflict with it and neither dominates. Where one gradient is short and nearly along the other, the bounds give the
    short one alone. The weights that are logged, `labels` and `teachers`, are pi_i / o_i, factors of the losses.

    Heads get both their gradients with these weights; adaptors, which only the distillation has, get its own, without.
    In a step without any label, or any distillation, the other has weight 1 / o_i.

    Source: MoKD (arXiv:2505.08170) was withdrawn in favour of DTO-KD; its theorem 3.1, for one task, was read in a
    summary. Ours to decide: that the tasks' losses are added, as are the teachers' terms; that pi is kept within [0,
    1], which the formula needs where the shortest vector lies at an end; that gradients are those of the shared
    parameters, or at the representation; heads and adaptors. Not here: the paper's amortised variant, which learns pi
    without a second backward pass, and its projectors.

    Args:
        where: The gradients that are balanced.
        epsilon: The smallest o_i that is divided by.

    Raises:
        ValueError: If `epsilon` is not positive or not finite; in `setup`, if there is no distillation.
    """

    weighs_heads = True

    def __init__(self, where: Where = "parameters", epsilon: float = 1e-8) -> None:
        super().__init__(where, "task+distill")
        self.objectives = TwoObjectives("task+distill")
        self.epsilon = positive_number("DTOKD.epsilon", epsilon)

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Learn of the tasks."""
        if distiller is None:
            raise UserError(
                "balancer: expected a method with a `distiller` for DTOKD, which balances it with the labels, found "
                "none; give it one, such as that of its base kd4mtl"
            )
        super().setup(tasks, net, distiller)

    def combine(self, gradients: TaskGradients) -> Combined:
        """pi_1 g_1 + pi_2 g_2, as weights of grad o_i."""
        inverse = 1 / gradients.losses.clamp(min=self.epsilon)
        if len(gradients.names) == 1:
            return Combined(weights=inverse, heads=inverse)
        weights = shortest(gradients.gramian() * torch.outer(inverse, inverse)) * inverse
        return Combined(weights=weights, heads=weights)


def shortest(products: Tensor) -> Tensor:
    """pi of the shortest vector between two, given their products [2, 2]; a half each where they are equal."""
    difference = products[0, 0] + products[1, 1] - 2 * products[0, 1]
    first = (products[1, 1] - products[0, 1]) / difference
    first = torch.where(difference > 0, first.clamp(0, 1), 0.5)
    return torch.stack([first, 1 - first])
