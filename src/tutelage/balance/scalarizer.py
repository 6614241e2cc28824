"""Balancing on the losses: any scalarizer of torchjd, by name."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tutelage.balance.objective import Balance, groups, objectives
from tutelage.balance.on_losses import LossBalancer
from tutelage.balance.torchjd import attempt, make
from tutelage.balance.torchjd_state import capture, of_some, restore
from tutelage.types import Distiller, MultiTaskNet, Task, Terms

if TYPE_CHECKING:
    from torchjd import scalarization


class Scalarizer(LossBalancer):
    """One scalar of all tasks' losses, s(l_1, ..., l_T), whose gradient the network follows.

    grad s = sum_t w_t grad l_t,   w_t = ds / dl_t

    so that one backward pass is enough for any s. Heads get their task's gradient times w_t, as the formula says. With
    `balance` the distillation terms d_t (lambda_t is in them)

    - `task`: are added as they are, s(l) + sum_t d_t: the paper's way;
    - `task+distill`: belong to their task's objective, s(l_1 + d_1, ..., l_T + d_T);
    - `separately`: are balanced among themselves by a second scalarizer of the same kind, s(l) + s'(d).

    A step without a label of some task balances the tasks that it has. FAMO and DWA, which remember every loss, are
    given that task's last one (1 before its first), which moves no parameter. Parameters of a scalarizer (UW, IMTLL)
    are for the `balancer_optim` of the method. All state is in `state_dict`, also what torchjd keeps elsewhere.

    Source: the class of torchjd that is named, and the paper that it names.

    Args:
        method: a class of `torchjd.scalarization`: Sum, Mean, Constant, DWA, FAMO, GeometricMean, IMTLL, Random, STCH,
            UW, COSMOS, PBI; or the import path of one of your own.
        arguments: of its constructor; a value for every task as {task: value}, or one number for all of them; the
            number of tasks is filled in.
        balance: what happens to the distillation terms.

    Raises:
        ValueError: In `setup`, where there is no such class or it does not take these arguments.
    """

    def __init__(self, method: str, arguments: dict[str, Any] | None = None, balance: Balance = "task") -> None:
        super().__init__(balance)
        self.method, self.arguments = method, dict(arguments or {})
        self.learnt = nn.ParameterList()  # of the scalarizers, for an optimiser; FAMO learns by itself
        self._tasks: list[str] = []
        self._parts: dict[
            str, scalarization.Scalarizer
        ] = {}  # not registered: torchjd's state_dict is not all of their state
        self._weighed: set[str] = set()  # groups that had a loss in this step
        self._famo = self._dwa = False

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Make the scalarizers."""
        from torchjd import scalarization  # here, since with its solvers it takes a second to import

        self._tasks = list(tasks)
        device = next(net.parameters()).device
        for part in groups(self.balance):
            made = make(scalarization, scalarization.Scalarizer, self.method, self.arguments, self._tasks, device)
            attempt(made, torch.ones(len(tasks), device=device), self.method, len(tasks))
            self._parts[part] = made
            self.register_buffer(f"last_{part}", torch.ones(len(tasks), device=device))
            self._famo, self._dwa = isinstance(made, scalarization.FAMO), isinstance(made, scalarization.DWA)
            if not self._famo:
                self.learnt.extend(made.parameters())

    def begin_step(self, progress: float) -> None:
        """Forget which groups were weighed."""
        self._weighed = set()

    def after_step(self, again: Callable[[bool], Terms]) -> None:
        """FAMO: how much each loss fell in the step."""
        if not self._famo:
            return
        losses, _ = objectives(again(self.balance != "task"), self.balance)
        for part, named in ((part, named) for part, named in losses.items() if part in self._weighed):
            self._parts[part].update(self._filled(part, named))  # type: ignore[operator]  # FAMO's

    def end_epoch(self) -> None:
        """DWA: the mean losses of the epoch."""
        for made in self._parts.values() if self._dwa else ():
            made.step()  # type: ignore[operator]  # DWA's

    def weigh(self, group: str, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """ds / do_t; the gradient of the scalarizer's own parameters is added to their `.grad`."""
        made = self._parts[group]
        self._weighed.add(group)
        names = self._tasks if self._famo or self._dwa else [t for t in self._tasks if t in losses]
        values = self._filled(group, losses, names).requires_grad_()
        rows = [self._tasks.index(t) for t in names]
        count = len(self._tasks)
        some = len(rows) < count
        parameters: dict[str, Tensor] = {
            name: p[rows] if some and p.shape[:1] == (count,) else p for name, p in made.named_parameters()
        }
        with torch.enable_grad(), of_some(made, rows, count) if some else nullcontext():
            functional_call(made, parameters, (values,)).backward()
        assert values.grad is not None
        return {t: w for t, w in zip(names, values.grad, strict=True) if t in losses}

    def _filled(self, part: str, losses: Mapping[str, Tensor], names: list[str] | None = None) -> Tensor:
        """The losses in the order of the tasks, detached; that of a task that has none is its last one."""
        last = getattr(self, f"last_{part}")
        for i, t in enumerate(self._tasks):
            if t in losses:
                last[i] = losses[t].detach()
        chosen: Tensor = last[[self._tasks.index(t) for t in names or self._tasks]]
        return chosen.clone()

    def get_extra_state(self) -> dict[str, Any]:
        """The whole state of the scalarizers."""
        return {part: capture(made) for part, made in self._parts.items()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_extra_state()`."""
        for part, made in self._parts.items():
            restore(made, state[part], getattr(self, f"last_{part}").device)
