"""Balancing on the gradients of what the tasks share: exact, or at the representation that their heads read."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tutelage.balance.objective import Balance, groups, objectives
from tutelage.balance.representation import Representation, check_apart, disjoint, distilled, parts, read_by_heads
from tutelage.balance.rows import Rows
from tutelage.balance.torchjd_state import capture, restore
from tutelage.errors import UserError, one_line
from tutelage.types import Balancer, Distiller, MultiTaskNet, Output, Reduce, Task, Terms

Where = Literal["parameters", "representation"]


@dataclass
class TaskGradients:
    """The gradients of one group of objectives in one step: what a method combines."""

    tasks: list[str]  # of the m rows, those of the step, in the order of the study
    index: list[int]  # where they are among all tasks of the study
    losses: Tensor  # [m], o_t, detached
    matrices: list[Tensor]  # [m, n] for every draw: d o_t / d (shared parameters or representation)
    group: str  # "task", or "distill" where these are balanced separately
    memory: dict[str, Tensor]  # what the method keeps of this group from step to step; saved with the run
    features: list[Tensor] = field(default_factory=list)  # at the representation, what the columns are gradients of

    @property
    def matrix(self) -> Tensor:
        """[m, n], where a step has one draw."""
        return self.matrices[0]


@dataclass
class Combined:
    """What a method makes of them: `vector`, or `weights` alone, of which it is then the weighted sum."""

    weights: Tensor | None = None  # [m]; none where no sum of the rows gives the vector
    vector: Tensor | None = None  # [n]
    heads: Tensor | None = None  # [m], factors of the heads' gradients; none: their own task's, unweighted


class GradientBalancer(Balancer, ABC):
    """One gradient a task in, one out: `combine` is all that a method has to give.

    The gradients of the shared parameters (`MultiTaskNet.shared_parameters`) are combined; a head, and an adaptor, gets
    its own task's gradient, unweighted, unless the method gives factors for the heads. A step without a label of some
    task combines the gradients of the tasks that it has.

    `where: parameters` is exact: one backward pass through the shared parameters a task, written row by row into one
    matrix [T + 1, P], whose last row becomes the gradient. `where: representation` combines the gradients of what the
    heads read (`Output.shared`) and passes the result through the shared parameters once. For a weighted sum its
    gradient is that of the same weights, which are optimal for an upper bound (MGDA-UB: Sener and Koltun, NeurIPS 2018,
    section 3.3). It needs all of a step at once: no accumulation.

    Args:
        where: whose gradients are combined.
        balance: what an objective o_t is. `task`: the loss l_t, and the gradient of the distillation terms d_t
            (lambda_t is in them) is added to the result, the paper's way; `task+distill`: l_t + d_t; `separately`: l_t,
            and the gradients of d_t are combined among themselves, with a memory of their own. At the representation,
            features that are distilled and lie before it belong to it.

    Raises:
        ValueError: In `setup`, with fewer than two tasks or nothing shared; in `boundary`, where the network has no
            representation.
    """

    weighs_heads = False  # True: `combine` gives `heads`
    updates: tuple[int, ...] = (0,)  # the draws of a step whose batches move the network; the others only balance

    def __init__(self, where: Where = "parameters", balance: Balance = "task") -> None:
        super().__init__()
        self.where: Where = where
        self.balance: Balance = balance
        self.whole_step = where == "representation"
        self.memory: dict[str, dict[str, Tensor]] = {group: {} for group in groups(balance)}
        self.made: dict[
            str, nn.Module
        ] = {}  # torchjd's, by group; not registered: its state_dict is not all of a state
        self.tasks: list[str] = []
        self._net = ""
        self._adaptors: list[nn.Parameter] = []
        self._device = torch.device("cpu")
        # Scratch of a step: the rows of draw, group, task, and one more for what is given; a row a group for each head.
        self._rows: Rows | None = None
        self._heads: dict[str, Rows] = {}
        self._losses: dict[str, dict[str, Tensor]] = {}
        self._weights: dict[str, Tensor] = {}
        self._kept: list[Tensor] = []  # the rows at the representation, by group
        self._pending: Representation | None = None
        self._moved = self._checked = False
        self._disjoint: dict[frozenset[tuple[str, str]], bool] = {}  # by the objectives of a step

    @abstractmethod
    def combine(self, found: TaskGradients) -> Combined:
        """From the tasks' gradients to one; called without a graph."""

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
        self._device = next(net.parameters()).device
        self._adaptors = [] if distiller is None else [p for p in distiller.parameters() if p.requires_grad]

    def begin_step(self, progress: float) -> None:
        """Forget the last step's gradients."""
        self._losses, self._weights, self._moved = {group: {} for group in self.memory}, {}, False
        self._pending = None
        for rows in self._heads.values() if self._rows is None else [self._rows, *self._heads.values()]:
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
        if self.balance == "task":
            return output
        taps = {
            name: tap if isinstance(tap, dict) or any(tap is z for z in output.shared) else tap.view_as(tap)
            for name, tap in output.taps.items()
        }
        return replace(output, taps=taps)

    def backward(self, terms: Terms, outputs: list[Output], net: MultiTaskNet, reduce: Reduce) -> dict[str, Tensor]:
        """Collect the gradients of a part of a step; the weights come with `finish`."""
        found, rest = objectives(reduce(terms), self.balance)
        rest = [x for x in rest if x.requires_grad]
        if self.weighs_heads and not self._heads:
            own = {t: [p for p in net.task_parameters(t) if p.requires_grad] for t in self.tasks}
            self._heads = {t: Rows(parameters, len(self.memory)) for t, parameters in own.items() if parameters}
        if self.where == "parameters":
            self._exact(found, rest, net, reduce.draw)
        else:
            self._at_representation(found, rest, outputs, net)
        return {}

    def finish(self) -> dict[str, Tensor]:
        """Give the shared parameters the combined gradient; returns w_t where the method has weights."""
        if self._pending is not None:
            found = self._pending.matrices.items()
            self._pending.backward([self._combined(group, self._losses[group], [matrix]) for group, matrix in found])
            self._pending = None
        if self._rows is None:
            return self._weights
        rows, count = self._rows, len(self.tasks)
        for i, (group, losses) in enumerate(self._losses.items()):
            index = sorted(self.tasks.index(t) for t in losses)
            starts = [(draw * len(self.memory) + i) * count for draw in range(self.draws)]
            matrices = [rows.matrix[start : start + count] for start in starts]
            if losses:
                chosen = matrices if len(index) == count else [matrix[index] for matrix in matrices]
                rows.matrix[-1] += self._combined(group, losses, chosen)
        if self._moved:
            rows.give(-1)
        return self._weights

    def _exact(self, found: dict[str, dict[str, Tensor]], rest: list[Tensor], net: MultiTaskNet, draw: int) -> None:
        """A backward pass for every objective, each into its row, and one for what is added as it is."""
        if self._rows is None:
            self._rows = Rows(net.shared_parameters(), self.draws * len(self.memory) * len(self.tasks) + 1)
        moves = draw in self.updates
        passes: list[tuple[Tensor, int, str, int]] = []
        for i, (group, named) in enumerate(found.items()):
            for t in (t for t in self.tasks if t in named):
                if moves:
                    self._losses[group][t] = self._losses[group].get(t, 0) + named[t].detach() / len(self.updates)
                if named[t].requires_grad:
                    row = (draw * len(self.memory) + i) * len(self.tasks) + self.tasks.index(t)
                    passes.append((named[t], row, t, i))
        if rest and moves:
            passes.append((torch.stack(rest).sum(), -1, "", 0))
        self._moved |= moves and bool(passes)
        for n, (value, row, t, i) in enumerate(passes):
            with self._rows.into(row), self._heads[t].into(i) if t in self._heads else nullcontext():
                torch.autograd.backward(
                    value / len(self.updates) if moves else value,
                    retain_graph=n + 1 < len(passes),
                    inputs=None if moves else self._rows.parameters,
                )

    def _at_representation(
        self, found: dict[str, dict[str, Tensor]], rest: list[Tensor], outputs: list[Output], net: MultiTaskNet
    ) -> None:
        """A backward pass through the heads for every objective."""
        values = {(group, t): value for group, named in found.items() for t, value in named.items()}
        boundary = read_by_heads(outputs)
        if self.balance != "task":
            boundary += distilled(outputs, boundary, list(values.values()))
        if frozenset(values) not in self._disjoint:
            self._disjoint[frozenset(values)] = disjoint(list(values.values()), boundary)
        # Where nothing needs it any more, each head's graph is freed on the way, and its memory used again.
        keep = bool(rest) or not self._disjoint[frozenset(values)]
        self._pending = Representation(boundary, rest)
        for i, (group, named) in enumerate(found.items()):
            matrix = self._features(i, len(named), boundary)
            for row, t in zip(matrix, (t for t in self.tasks if t in named), strict=True):
                self._losses[group][t] = named[t].detach()
                own = [*(p for p in net.task_parameters(t) if p.requires_grad), *self._adaptors]
                grads = torch.autograd.grad(named[t], [*boundary, *own], retain_graph=keep, allow_unused=True)
                for part, grad in zip(parts(row, boundary), grads, strict=False):
                    part.zero_() if grad is None else part.copy_(grad)
                with self._heads[t].into(i) if t in self._heads else nullcontext():
                    _add(own, grads[len(boundary) :])
            if named:
                self._pending.matrices[group] = matrix

    def _features(self, group: int, rows: int, boundary: list[Tensor]) -> Tensor:
        """Room for gradients of features, kept from step to step: new pages cost as much as filling them."""
        columns = sum(z.numel() for z in boundary)
        while len(self._kept) <= group:
            self._kept.append(torch.empty(0, 0, device=self._device))
        if self._kept[group].shape != (len(self.tasks), columns):
            self._kept[group] = torch.empty(len(self.tasks), columns, device=self._device)
        return self._kept[group][:rows]

    def _combined(self, group: str, losses: Mapping[str, Tensor], matrices: list[Tensor]) -> Tensor:
        """The combined gradient; the heads' factors are applied on the way."""
        tasks = [t for t in self.tasks if t in losses]
        index = [self.tasks.index(t) for t in tasks]
        stacked = torch.stack([losses[t].to(self._device) for t in tasks])
        with torch.no_grad():
            try:
                features = [] if self._pending is None else [z.detach() for z in self._pending.boundary]
                combined = self.combine(
                    TaskGradients(tasks, index, stacked, matrices, group, self.memory[group], features)
                )
            except Exception as error:  # of any solver, which names neither task nor cause
                bad = [t for t, *rows in zip(tasks, *matrices, strict=True) if not torch.stack(rows).isfinite().all()]
                if not bad:
                    raise UserError(
                        f"{type(self).__name__} expected gradients of {', '.join(tasks)} that it can combine, found "
                        f"{type(error).__name__}: {one_line(error)}; take another method, or other arguments"
                    ) from error
                raise FloatingPointError(
                    f"the gradients of {', '.join(bad)} are not finite; lower train.student.optimizer.lr, set "
                    "train.clip_norm, or train with --precision 32-true"
                ) from error
            if combined.weights is not None:
                prefix = "" if group == "task" else f"{group}/"
                self._weights |= {f"{prefix}{t}": w for t, w in zip(tasks, combined.weights, strict=True)}
            if combined.heads is not None:
                row = list(self.memory).index(group)
                for t, factor in zip(tasks, combined.heads, strict=True):
                    if t in self._heads:
                        self._heads[t].matrix[row] *= factor
                        self._heads[t].give(row)
            if combined.vector is not None:
                return combined.vector
            assert combined.weights is not None
            return matrices[0].T @ combined.weights  # the other way round is several times slower

    def get_extra_state(self) -> dict[str, Any]:
        """What the method keeps from step to step."""
        memory = {g: {name: value.clone() for name, value in kept.items()} for g, kept in self.memory.items()}
        return {"memory": memory, "made": {group: capture(made) for group, made in self.made.items()}}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_extra_state()`."""
        for group, kept in state["memory"].items():
            self.memory[group] = {name: value.to(self._device) for name, value in kept.items()}
        for group, made in self.made.items():
            restore(made, state["made"][group], self._device)


def _add(parameters: Sequence[Tensor], grads: Sequence[Tensor | None]) -> None:
    """Add gradients to `.grad`, in place, as a backward pass does."""
    for p, grad in zip(parameters, grads, strict=True):
        if grad is not None:
            p.grad = grad.clone() if p.grad is None else p.grad.add_(grad)
