"""Balancing on the gradients: any aggregator or weighting of torchjd, by name."""

import typing
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tutelage.balance.objective import Balance
from tutelage.balance.on_gradients import GradientBalancer, Where
from tutelage.balance.task_gradients import Combined, TaskGradients
from tutelage.balance.torchjd import make, quiet_solvers, verify
from tutelage.balance.torchjd_state import last_weights, of_some
from tutelage.errors import UserError
from tutelage.types import Distiller, MultiTaskNet, Task


class Aggregator(GradientBalancer):
    """The tasks' gradients combined by an aggregator of torchjd, A(J) with J = [grad o_1, ..., grad o_T].

    Heads and adaptors get their own task's gradient, unweighted. In a step without a label of some task the other rows
    are combined; the memory of a method (GradVac, ExcessMTL, PCD, CR-MOGM) keeps its values of that task. Nash-MTL,
    whose problem has a fixed size, then uses its last weights, and Krum and TrimmedMean, if there are fewer rows than
    they need, the mean. PCD's primary task is the study's first. UPGrad, DualProj, CAGrad, Nash-MTL and FairGrad need
    `pip install 'tutelage[balancing]'`. All state is in `state_dict`, including what torchjd keeps elsewhere.

    Source: the class of torchjd that is named, and the paper that it names.

    Args:
        method: A class of `torchjd.aggregation`: AlignedMTL, CAGrad, ConFIG, DualProj, ExcessMTL, FairGrad, GradDrop,
            GradVac, IMTLG, Krum, Mean, MGDA, NashMTL, PCD, PCGrad, Random, Sum, TrimmedMean, UPGrad, ..., or a
            weighting (CRMOGMWeighting); or the import path of an `Aggregator` or `Weighting`.
        arguments: Of its constructor; a value for every objective as {name: value}, or one number for all of them; the
            number of objectives is filled in; a weighting within another by its name, or as {method: name, arguments:
            ...}.
        where: The gradients that are combined, as for `GradientBalancer`.
        balance: What an objective is, as for `GradientBalancer`.

    Raises:
        ValueError: In `setup`, if there is no such class, it does not take these arguments or this number of
            objectives, or its solver is not installed.
    """

    def __init__(
        self,
        method: str,
        arguments: dict[str, Any] | None = None,
        where: Where = "parameters",
        balance: Balance = "task",
    ) -> None:
        super().__init__(where, balance)
        self.method, self.arguments = method, dict(arguments or {})

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Build the aggregators."""
        from torchjd import aggregation  # here, since with its solvers it takes a second to import

        super().setup(tasks, net, distiller)
        if self.method in ("MoDoWeighting", "SDMGradWeighting"):
            raise UserError(
                f"balancer.method: expected a method of one batch a step, found `{self.method}`; use the class "
                "tutelage.balance.IndependentDraws"
            )
        for group, names in self.names.items():
            kinds = (aggregation.Aggregator, aggregation.Weighting)
            other_names = set(self.objectives.all_names()) - set(names)
            method = make(aggregation, kinds, self.method, self.arguments, names, self._device, other_names)
            if isinstance(method, aggregation.Weighting):
                of_gramian = takes_gramian(method)
                kind = aggregation.GramianWeightedAggregator if of_gramian else aggregation.WeightedAggregator
                method = kind(method)
            # Weights that remember every coordinate, or are as large as gradients are small.
            exact = (aggregation.ExcessMTLWeighting, aggregation.FairGradWeighting, aggregation.NashMTL)
            if self.where == "representation" and any(isinstance(module, exact) for module in method.modules()):
                raise UserError(
                    f"balancer.where: expected `parameters` for {self.method}, whose weights follow the size or every "
                    "coordinate of the gradients, found `representation`, where these are of features and of other "
                    "images in every step"
                )
            count = len(names)
            verify(method, torch.eye(count, count + 3, device=self._device), self.method, count)
            self.methods[group] = method

    def combine(self, gradients: TaskGradients) -> Combined:
        """A(J)."""
        from torchjd.aggregation import Krum, NashMTL, TrimmedMean

        method, count = self.methods[gradients.group], len(self.names[gradients.group])
        # A mean loss has tiny gradients with respect to features, which torchjd's guards against zero treat as none.
        scaled = self.where == "representation"
        if len(gradients.names) == count:
            with quiet_solvers():
                return _apply(method, gradients, scaled)
        if isinstance(method, NashMTL):
            weights = last_weights(method).to(gradients.matrix)[gradients.index]
            norm = (weights @ gradients.matrix).norm()
            return Combined(weights * (method.max_norm / norm).clamp(max=1) if method.max_norm > 0 else weights)
        try:
            with quiet_solvers(), of_some(method, gradients.index, count):
                return _apply(method, gradients, scaled)
        except ValueError:
            if not isinstance(method, Krum | TrimmedMean):
                raise
            return Combined(torch.full_like(gradients.losses, 1 / len(gradients.names)))


def _apply(method: nn.Module, gradients: TaskGradients, scaled: bool) -> Combined:
    from torchjd.aggregation import GramianWeightedAggregator, WeightedAggregator

    if isinstance(method, GramianWeightedAggregator):
        products = gradients.gramian()
        if scaled:
            products = products / products.trace().clamp(min=torch.finfo(products.dtype).tiny)
        return Combined(weights=method.gramian_weighting(products))
    if isinstance(method, WeightedAggregator):
        return Combined(weights=method.weighting(gradients.matrix))
    return Combined(vector=method(gradients.matrix))


def takes_gramian(weighting: Any) -> bool:
    """Whether a weighting reads J J^T (`Weighting[PSDMatrix]`); one around another (CR-MOGM) reads what that does."""
    from torchjd.aggregation import CRMOGMWeighting
    from torchjd.linalg import PSDMatrix

    if isinstance(weighting, CRMOGMWeighting):
        return takes_gramian(weighting.weighting)
    bases = (base for cls in type(weighting).__mro__ for base in getattr(cls, "__orig_bases__", ()))
    return any(PSDMatrix in typing.get_args(base) for base in bases)
