"""Balancing on the gradients of what the tasks share: exact, or at the representation that their heads read."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tutelage.balance.exact import ExactGradients
from tutelage.balance.objective import Balance, Groups, Objectives
from tutelage.balance.representation import RepresentationGradients, check_apart, distilled, read_by_heads
from tutelage.balance.rows import Rows
from tutelage.balance.spread import Spread
from tutelage.balance.task_gradients import Combined, TaskGradients, explain_error
from tutelage.balance.torchjd_state import capture, restore
from tutelage.errors import UserError
from tutelage.types import Balancer, Distiller, MultiTaskNet, Output, Reduce, Task, Terms, World

Where = Literal["parameters", "representation"]


class GradientBalancer(Balancer, ABC):
    """One gradient per objective in, one out: a method has to implement `combine` alone.

    The gradients of the shared parameters (`MultiTaskNet.shared_parameters`) are combined. A head, and an adaptor, gets
    its own task's gradient, unweighted, unless the method gives factors for the heads. In a step without a label of
    some task the gradients of the others are combined.

    `where: parameters` is exact: one backward pass per objective through the shared parameters, written row by row into
    one matrix [T + 1, P], whose last row becomes the gradient. `where: representation` combines the gradients of what
    the heads read (`Output.shared`) and passes the result through the shared parameters once. For a weighted sum its
    gradient is that of the same weights, which are optimal for an upper bound (MGDA-UB: Sener and Koltun, NeurIPS 2018,
    section 3.3). It needs all of a step at once: no accumulation.

    Args:
        where: The gradients that are combined.
        balance: What an objective o_t is, as for `Objectives`. `task`: the loss l_t, and the gradient of the
            distillation terms is added to the result, the paper's way; `task+distill`: l_t and its distillation terms;
            `separately`: l_t, and the gradients of the distillation terms are combined among themselves, with a memory
            of their own. At the representation, features that are distilled and lie before it belong to it.

    Attributes:
        tasks: The tasks, in the order of the study.
        memory: What the method keeps from step to step, by group.
        methods: The methods of torchjd by group.

    Raises:
        ValueError: In `setup`, with fewer than two tasks or no shared parameters; in `boundary`, if the network has no
            representation.
    """

    several_processes = True
    weighs_heads = False  # True: `combine` gives `heads`
    updates: tuple[int, ...] = (0,)  # the draws of a step whose batches move the network; the others only balance

    def __init__(self, where: Where = "parameters", balance: Balance = "task") -> None:
        super().__init__()
        self.where: Where = where
        self.whole_step = where == "representation"
        self.completes = "finish" if where == "representation" else None
        self.objectives = Objectives(balance)
        self.memory: dict[str, dict[str, Tensor]] = {group: {} for group in self.names}
        self.methods: dict[str, nn.Module] = {}  # not registered: their state_dict is not all of their state
        self.tasks: list[str] = []
        self._net = ""
        self._adaptors: list[nn.Parameter] = []
        self._device = torch.device("cpu")
        # Of a step:
        self._exact: ExactGradients | None = None
        self._features = RepresentationGradients({}, self._device)
        self._heads: dict[tuple[str, str], Rows] = {}  # by group and objective
        self._losses: dict[str, dict[str, Tensor]] = {}
        self._weights: dict[str, Tensor] = {}
        self._checked = False
        self._world = World()

    @property
    def names(self) -> dict[str, list[str]]:
        """The names of all objectives by group, in the order of a state with one entry per objective."""
        return self.objectives.names

    @abstractmethod
    def combine(self, gradients: TaskGradients) -> Combined:
        """From the objectives' gradients to one; called without a graph."""

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Learn of the tasks."""
        if len(tasks) < 2:
            raise UserError(
                f"balancer: expected two tasks or more for {type(self).__name__}, which combines gradients, found "
                f"{', '.join(tasks) or 'none'}; take tutelage.balance.Uniform"
            )
        if not any(p.requires_grad for p in net.shared_parameters()):
            raise UserError(
                f"balancer: expected a network with parameters that tasks share for {type(self).__name__}, found "
                f"{type(net).__name__} with none that is trained; take tutelage.balance.Uniform"
            )
        self.tasks, self._net = list(tasks), type(net).__name__
        self.objectives = type(self.objectives)(self.objectives.balance, tasks, distiller)
        self._device = next(net.parameters()).device
        self._features = RepresentationGradients(self.names, self._device)
        self._adaptors = [] if distiller is None else [p for p in distiller.parameters() if p.requires_grad]

    def begin_step(self, progress: float) -> None:
        """Forget the last step's gradients."""
        self._losses, self._weights = {group: {} for group in self.names}, {}
        self._features.clear()
        if self._exact is not None:
            self._exact.clear()
        for rows in self._heads.values():
            rows.clear()

    def boundary(self, output: Output) -> Output:
        """At the representation: every tap before it as an alias, whose gradient is that of the distance alone."""
        if self.where == "parameters":
            return output
        if not output.shared:
            raise UserError(
                f"balancer.where: expected `parameters` for {self._net}, which has no tensors that all of its heads "
                "read (Output.shared), found `representation`"
            )
        if not self._checked and torch.is_grad_enabled():
            check_apart(output.shared, self._net)
            self._checked = True
        if self.objectives.balance == "task":
            return output
        taps = {
            name: tap if isinstance(tap, dict) or any(tap is z for z in output.shared) else tap.view_as(tap)
            for name, tap in output.taps.items()
        }
        return replace(output, taps=taps)

    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Collect the gradients of a part of a step; the weights come with `finish`."""
        groups, rest = self.objectives.split(reduce(terms))
        self._world = reduce.world
        if self.weighs_heads and not self._heads:
            self._heads = {objective: Rows(own, 1) for objective, own in self._own(net).items() if own}
        if reduce.draw in self.updates:
            self._add_losses(groups)
        if self.where == "parameters":
            if self._exact is None:
                self._exact = ExactGradients(net, self.names, self.draws, self.updates)
            self._exact.collect(groups, rest, reduce, self._heads)
        else:
            boundary = read_by_heads(outputs)
            if self.objectives.balance != "task":
                boundary += distilled(outputs, boundary, [x for named in groups.values() for x in named.values()])
            own = {objective: [*parameters, *self._adaptors] for objective, parameters in self._own(net).items()}
            self._features.collect(groups, [x for x in rest if x.requires_grad], boundary, self._heads, own)
        return {}

    def _own(self, net: MultiTaskNet) -> dict[tuple[str, str], list[nn.Parameter]]:
        """The parameters that only the tasks of an objective use, by group and objective."""
        heads = {t: [p for p in net.task_parameters(t) if p.requires_grad] for t in self.tasks}
        return {
            (group, name): [p for t in self.objectives.tasks(group, name) for p in heads[t]]
            for group, names in self.names.items()
            for name in names
        }

    def _add_losses(self, groups: Groups) -> None:
        for group, names in self.names.items():
            for name in (name for name in names if name in groups.get(group, ())):
                loss = groups[group][name].detach() / len(self.updates)
                self._losses[group][name] = self._losses[group].get(name, 0) + loss

    def summed(self, net: MultiTaskNet) -> list[nn.Parameter]:
        """Its own, and the shared ones where their rows are added before they are combined."""
        return [*self.parameters(), *(net.shared_parameters() if self.where == "parameters" else ())]

    def finish(self) -> dict[str, Tensor]:
        """Give the shared parameters the combined gradient; returns w_t where the method has weights."""
        if self.where == "representation":
            matrices = self._features.matrices.items()
            self._features.backward([self._combined(group, [matrix]) for group, matrix in matrices])
            self._features.clear()
        elif self._exact is not None:
            self._world.wait()
            for group, losses in self._losses.items():
                if losses:
                    matrices_of_draws = self._exact.matrices(group, self._index(group))
                    self._exact.add(self._combined(group, matrices_of_draws))
            self._exact.give()
        return self._weights

    def _index(self, group: str) -> list[int]:
        """Where the objectives of this step are among all of a group."""
        return [i for i, name in enumerate(self.names[group]) if name in self._losses[group]]

    def _combined(self, group: str, matrices: list[Tensor]) -> Tensor:
        """The combined gradient; the heads' factors are applied on the way."""
        losses, index = self._losses[group], self._index(group)
        names = [self.names[group][i] for i in index]
        stacked = self._stack([losses[name] for name in names], matrices[0])
        features = [z.detach() for z in self._features.boundary]
        several = self._world.size > 1 and self.where == "representation"
        spread = Spread(self._world, features) if several else None
        gradients = TaskGradients(names, index, stacked, matrices, group, self.memory[group], features, spread)
        with torch.no_grad():
            try:
                combined = self.combine(gradients)
            except Exception as error:  # any solver's, which names neither task nor cause
                raise explain_error(error, type(self).__name__, gradients) from error
            if combined.weights is not None:
                prefix = "" if group == "task" else f"{group}/"
                self._weights |= {f"{prefix}{name}": w for name, w in zip(names, combined.weights, strict=True)}
            if combined.heads is not None:
                for name, factor in zip(names, combined.heads, strict=True):
                    if (group, name) in self._heads:
                        self._heads[group, name].matrix[0] *= factor
                        self._heads[group, name].give(0)
            if combined.vector is not None:
                return combined.vector if combined.own or spread is None else spread.own(combined.vector)
            assert combined.weights is not None
            return matrices[0].T @ combined.weights  # the other way round is several times slower

    def _stack(self, losses: list[Tensor], matrix: Tensor) -> Tensor:
        """o_t of the images of all processes, [m]."""
        if self._world.size == 1:
            return torch.stack([loss.to(self._device) for loss in losses])
        own = torch.stack([loss.to(self._device, torch.float64) for loss in losses])
        return self._world.sum(own).to(matrix.dtype)

    def get_extra_state(self) -> dict[str, Any]:
        """What the method keeps from step to step."""
        memory = {
            group: {name: value.clone() for name, value in values.items()} for group, values in self.memory.items()
        }
        return {"memory": memory, "made": {group: capture(method) for group, method in self.methods.items()}}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_extra_state()`."""
        for group, values in state["memory"].items():
            self.memory[group] = {name: value.to(self._device) for name, value in values.items()}
        for group, method in self.methods.items():
            restore(method, state["made"][group], self._device)
