"""Weights that are learnt so that a step on one batch helps on another: Auto-lambda and MOML, to first order."""

from abc import abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from tutelage.balance.objective import Balance
from tutelage.balance.on_gradients import GradientBalancer
from tutelage.balance.task_gradients import Combined, TaskGradients
from tutelage.errors import UserError
from tutelage.types import Distiller, MultiTaskNet, Task, Terms


class Bilevel(GradientBalancer):
    """The base of methods that learn the weights lambda of the objectives on a second, independent batch of train.

    min over lambda of L(theta'),   theta' = theta - a sum_t lambda_t grad o_t(theta),
    d l_s(theta') / d lambda_t = - a grad l_s . grad o_t,   to first order in a

    where the network follows sum_t lambda_t o_t on the first batch, and l_s are losses on the second, which does not
    move the network. grad l_s is taken at theta, not at theta', which the balancer would have to visit; the two differ
    by O(a). The factor a is left out: it changes the learning rate of lambda. A step takes two batches from the order
    of the images, so that each image is in either role in turn; heads get lambda_t times their own gradient, adaptors
    their own.

    Args:
        initial: lambda, or what it is made of, before training.
        primary: The tasks s whose losses count on the second batch, where they have a label on the first, too; None:
            all.
        balance: What o_t is, as for `GradientBalancer`; with `separately` the terms of distillation have a lambda of
            their own, learnt by the losses of the tasks, too; with `task+distill` l_s is o_s.

    Raises:
        ValueError: In `setup`, if `primary` names no task.
    """

    draws = 2
    updates = (0,)
    weighs_heads = True

    def __init__(self, initial: float, primary: list[str] | None = None, balance: Balance = "task") -> None:
        super().__init__("parameters", balance)
        self.initial, self.primary = float(initial), primary
        self.learnt = nn.ParameterDict()  # by group
        self._held: Tensor | None = None  # [S, P], grad l_s on the second batch of a step

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Create what is learnt."""
        super().setup(tasks, net, distiller)
        for name in self.primary or ():
            if name not in tasks:
                raise UserError(f"balancer.primary: expected tasks among {', '.join(tasks)}; found `{name}`")
        for group, names in self.names.items():
            self.learnt[group] = nn.Parameter(torch.full((len(names),), self.initial, device=self._device))

    def begin_step(self, progress: float) -> None:
        """Forget the last step's gradients."""
        super().begin_step(progress)
        self._held = None

    def combine(self, gradients: TaskGradients) -> Combined:
        """sum_t lambda_t grad o_t, and the gradient of what is learnt."""
        first, second = gradients.matrices
        if gradients.group == "task":
            chosen = [i for i, name in enumerate(gradients.names) if self.primary is None or name in self.primary]
            self._held = second[chosen]  # 0 of a task without a label on the second batch
        learnt = self.learnt[gradients.group]
        learnt.grad = torch.zeros_like(learnt)
        if self._held is not None:
            products = torch.zeros(len(self._held), len(learnt), dtype=first.dtype, device=first.device)
            products[:, gradients.index] = self._held @ first.T
            learnt.grad = self.descend(products, learnt.detach()).to(learnt)
        weights = self.weights(learnt.detach())[gradients.index].to(first)
        return Combined(weights=weights, heads=weights)

    @abstractmethod
    def weights(self, learnt: Tensor) -> Tensor:
        """lambda of what is learnt, [T]."""

    @abstractmethod
    def descend(self, products: Tensor, learnt: Tensor) -> Tensor:
        """The gradient of what is learnt, given grad l_s . grad o_t [S, T]; a row of 0 asks for nothing."""


class AutoLambda(Bilevel):
    """Auto-lambda (Liu, James, Davison and Johns, TMLR 2022, arXiv:2202.03091), to first order: lambda is learnt.

    The gradient of lambda_t is - sum_s grad l_s . grad o_t, as in `Bilevel`. No lambda becomes negative.

    Differs from the paper, which takes grad l_s after the step on the first batch, by finite differences and with the
    momentum of the optimiser, at the cost of two more passes: see `Bilevel`.

    Args:
        initial: lambda before training.
        primary: As for `Bilevel`; the other tasks are auxiliary.
        balance: As for `Bilevel`.
    """

    def __init__(self, initial: float = 0.1, primary: list[str] | None = None, balance: Balance = "task") -> None:
        super().__init__(initial, primary, balance)

    def weights(self, learnt: Tensor) -> Tensor:
        """lambda itself."""
        return learnt

    def descend(self, products: Tensor, learnt: Tensor) -> Tensor:
        """Of the sum of the losses."""
        return -products.sum(0)

    @torch.no_grad()
    def after_step(self, again: Callable[[bool], Terms]) -> None:
        """Keep lambda at 0 or above."""
        for learnt in self.learnt.values():
            learnt.clamp_(min=0)


class MOML(Bilevel):
    """Multi-objective meta learning (Ye et al., NeurIPS 2021), to first order: none of the losses comes first.

    lambda = T softmax(a),   the gradient of a is the shortest vector within those of all l_s (MGDA)

    Differs from the paper: see `Bilevel`; lambda sums to T, not to 1, so that every task begins with weight 1. FORUM
    (Ye et al., 2024, arXiv:2401.09257) is not here: it takes gradients of the network after several steps on the first
    batch, and moves the network by those of the second.

    Args:
        primary: As for `Bilevel`.
        balance: As for `Bilevel`.
    """

    def __init__(self, primary: list[str] | None = None, balance: Balance = "task") -> None:
        super().__init__(0.0, primary, balance)

    def weights(self, learnt: Tensor) -> Tensor:
        """T softmax(a)."""
        return len(learnt) * torch.softmax(learnt, 0)

    def descend(self, products: Tensor, learnt: Tensor) -> Tensor:
        """The shortest vector within the gradients of the losses with respect to a."""
        from torchjd.aggregation import MGDA  # here, since with its solvers it takes a second to import

        p = torch.softmax(learnt, 0)
        slopes = len(p) * (p.diag() - torch.outer(p, p))  # d lambda / d a
        asking = products[products.any(1)]  # waits for the device, as the solver does
        if not len(asking):
            return torch.zeros_like(learnt)
        matrix = -asking.to(slopes) @ slopes
        scale = matrix.abs().max().clamp(min=torch.finfo(matrix.dtype).tiny)  # torchjd takes tiny gradients for none
        shortest: Tensor = MGDA()(matrix / scale) * scale
        return shortest
