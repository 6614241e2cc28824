"""Balancing on the losses: any scalarizer of torchjd, by name."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tutelage.balance.objective import Balance
from tutelage.balance.on_losses import LossBalancer
from tutelage.balance.torchjd import make, verify
from tutelage.balance.torchjd_state import capture, of_some, restore
from tutelage.types import Distiller, MultiTaskNet, Task, Terms

if TYPE_CHECKING:
    from torchjd import scalarization


class Scalarizer(LossBalancer):
    """One scalar of all tasks' losses, s(l_1, ..., l_T), whose gradient the network follows.

    grad s = sum_t w_t grad l_t,   w_t = ds / dl_t

    so that one backward pass is enough for any s. Heads get their task's gradient times w_t. With `balance` (see
    `Objectives`) the distillation terms d_t (lambda_t is in them)

    - `task`: are added as they are, s(l) + sum_t d_t: the paper's way;
    - `task+distill`: belong to their task's objective, s(l_1 + d_1, ..., l_T + d_T);
    - `separately`: are balanced among themselves by a second scalarizer of the same kind, s(l) + s'(d).

    In a step without a label of some task the others are balanced. FAMO and DWA, which remember every loss, get that
    task's last one (1 before its first), which moves no parameter. Parameters of a scalarizer (UW, IMTLL)
    are for the `balancer_optim` of the method. All state is in `state_dict`, including what torchjd keeps elsewhere.

    Source: the class of torchjd that is named, and the paper that it names.

    Args:
        method: A class of `torchjd.scalarization`: Sum, Mean, Constant, DWA, FAMO, GeometricMean, IMTLL, Random, STCH,
            UW, COSMOS, PBI; or the import path of one of your own.
        arguments: Of its constructor; a value for every objective as {task: value}, or one number for all of them; the
            number of objectives is filled in.
        balance: What happens to the distillation terms.

    Raises:
        ValueError: In `setup`, if there is no such class or it does not take these arguments.
    """

    def __init__(self, method: str, arguments: dict[str, Any] | None = None, balance: Balance = "task") -> None:
        super().__init__(balance)
        self.method, self.arguments = method, dict(arguments or {})
        self.learnt = nn.ParameterList()  # of the scalarizers, for an optimiser; FAMO learns by itself
        # By group; not registered: torchjd's state_dict is not all of their state.
        self._methods: dict[str, scalarization.Scalarizer] = {}
        self._weighed: set[str] = set()  # groups that had a loss in this step
        self._famo = self._dwa = False

    def setup(self, tasks: Mapping[str, Task], net: MultiTaskNet, distiller: Distiller | None = None) -> None:
        """Build the scalarizers."""
        from torchjd import scalarization  # here, since with its solvers it takes a second to import

        super().setup(tasks, net, distiller)
        device = next(net.parameters()).device
        for group, names in self.objectives.names.items():
            other_names = set(self.objectives.all_names()) - set(names)
            method = make(
                scalarization, scalarization.Scalarizer, self.method, self.arguments, names, device, other_names
            )
            verify(method, torch.ones(len(names), device=device), self.method, len(names))
            self._methods[group] = method
            self.register_buffer(f"last_{group}", torch.ones(len(names), device=device))
            self._famo, self._dwa = isinstance(method, scalarization.FAMO), isinstance(method, scalarization.DWA)
            if not self._famo:
                self.learnt.extend(method.parameters())

    def begin_step(self, progress: float) -> None:
        """Forget which groups were weighed."""
        self._weighed = set()

    def after_step(self, again: Callable[[bool], Terms]) -> None:
        """FAMO: how much each loss fell in the step."""
        if not self._famo:
            return
        losses, _ = self.objectives.split(again(self.objectives.balance != "task"))
        for group in (group for group in losses if group in self._weighed):
            self._methods[group].update(self._filled(group, losses[group]))  # type: ignore[operator]  # FAMO's

    def end_epoch(self) -> None:
        """DWA: the mean losses of the epoch."""
        for method in self._methods.values() if self._dwa else ():
            method.step()  # type: ignore[operator]  # DWA's, which torch's modules have not

    def weigh(self, group: str, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """ds / do_t; the gradient of the scalarizer's own parameters is added to their `.grad`."""
        method, all_names = self._methods[group], self.objectives.names[group]
        self._weighed.add(group)
        names = all_names if self._famo or self._dwa else [name for name in all_names if name in losses]
        values = self._filled(group, losses, names).requires_grad_()
        rows = [all_names.index(name) for name in names]
        count = len(all_names)
        incomplete = len(rows) < count
        parameters: dict[str, Tensor] = {
            name: p[rows] if incomplete and p.shape[:1] == (count,) else p for name, p in method.named_parameters()
        }
        with torch.enable_grad(), of_some(method, rows, count) if incomplete else nullcontext():
            functional_call(method, parameters, (values,)).backward()
        assert values.grad is not None
        return {name: w for name, w in zip(names, values.grad, strict=True) if name in losses}

    def _filled(self, group: str, losses: Mapping[str, Tensor], names: list[str] | None = None) -> Tensor:
        """The losses in the order of the objectives, detached; one without a loss has its last one."""
        last, all_names = getattr(self, f"last_{group}"), self.objectives.names[group]
        for i, name in enumerate(all_names):
            if name in losses:
                last[i] = losses[name].detach()
        selected: Tensor = last[[all_names.index(name) for name in names or all_names]]
        return selected.clone()

    def get_extra_state(self) -> dict[str, Any]:
        """The whole state of the scalarizers."""
        return {group: capture(method) for group, method in self._methods.items()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_extra_state()`."""
        for group, method in self._methods.items():
            restore(method, state[group], getattr(self, f"last_{group}").device)
