"""The state of a run: all that a checkpoint must hold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tutelage.errors import UserError
from tutelage.train.best_epoch import BestEpoch
from tutelage.train.callback import Callback
from tutelage.train.checkpoint import load_checkpoint
from tutelage.train.epoch_selection import EpochSelection
from tutelage.train.meter import Meter, NonFiniteError
from tutelage.train.optim import Optimisers
from tutelage.types import Balancer, Distiller, MultiTaskNet, Terms


class Training:
    """A run between two steps.

    Args:
        student: the network that is trained.
        distiller: what it learns from; None: from labels alone.
        balancer: how the losses become one update.
        optimisers: of student, adaptors and balancer.
        ema: decay of the moving average of the weights that becomes the result; None: no average.
        selection: the choice of an epoch whose weights become the result; None: the last.
        best: the epoch that is best on a part of train; None: nothing is validated.
        callbacks: are told of every step.

    Attributes:
        stopped: why the run ended before its last step; empty: it did not.
    """

    def __init__(
        self,
        student: MultiTaskNet,
        distiller: Distiller | None,
        balancer: Balancer,
        optimisers: Optimisers,
        ema: float | None = None,
        selection: EpochSelection | None = None,
        best: BestEpoch | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.student, self.distiller, self.balancer, self.optimisers = student, distiller, balancer, optimisers
        self.meter, self.selection = Meter(), selection
        self.best, self.callbacks, self.stopped = best, list(callbacks), ""
        self.average: AveragedModel | None = None
        if ema is not None:
            update = get_ema_multi_avg_fn(ema)  # type: ignore[no-untyped-call]  # of torch
            self.average = AveragedModel(student, multi_avg_fn=update, use_buffers=True)
        self.step = 0  # finished steps of the optimisers
        self.seconds = 0.0  # spent training, over all processes that worked on the run

    @property
    def result(self) -> MultiTaskNet:
        """The network to evaluate and to save."""
        return self.student if self.average is None else cast(MultiTaskNet, self.average.module)

    def train(self) -> None:
        """Put student, distiller and balancer in training mode."""
        for module in (self.student, self.distiller, self.balancer):
            if module is not None:
                module.train()

    def partial_gradients(self) -> list[nn.Parameter]:
        """The parameters whose `.grad` is, at the end of a step, that of the images of this process alone.

        In the order of a forward pass, so that the last ones are completed first; where the last backward pass ends the
        step from the representation on, the heads are complete before it.
        """
        student, summed = self.student, set(self.balancer.summed(self.student))
        parameters = list(student.parameters())
        if self.balancer.completes == "finish":
            shared = student.shared_parameters()
            parameters = [*(p for p in parameters if all(p is not q for q in shared)), *shared]
        others = [] if self.distiller is None else list(self.distiller.parameters())
        own = [*others, *self.balancer.parameters()]
        first, then = (own, parameters) if self.balancer.completes == "finish" else (parameters, own)
        return [p for p in (*first, *then) if p.requires_grad and p not in summed]

    def begin_step(self, progress: float, observed: bool) -> None:
        """Tell the methods the part of the run that is done, and forget the last step's gradients."""
        self.balancer.begin_step(progress)
        if self.distiller is not None:
            self.distiller.begin_step(progress, observed)
        self.optimisers.zero_grad()

    def add(self, terms: Terms, weights: Mapping[str, Tensor]) -> None:
        """Hand the losses of a part of a step to the choice of an epoch."""
        if self.selection is not None:
            self.selection.add(terms, weights)

    def end_step(self, per_epoch: int) -> None:
        """After the update: the moving average, the number of steps, and what follows an epoch of `per_epoch` steps."""
        if self.average is not None:
            self.average.update_parameters(self.student)
        self.step += 1
        if self.step % per_epoch == 0:
            self.balancer.end_epoch()
            self.optimisers.end_epoch()
            if self.selection is not None:
                self.selection.end_epoch(self.student.state_dict())

    def finish(self) -> None:
        """After the last step: take the weights of the chosen epoch."""
        if self.selection is not None and self.selection.weights:
            self.student.load_state_dict(self.selection.weights)
        if self.best is not None and self.best.weights:
            self.result.load_state_dict(self.best.weights)

    def check_losses(self, per_epoch: int) -> None:
        """Raise a NonFiniteError if a loss was not finite, as far as this process knows (`Meter.merge`)."""
        self.meter.check(per_epoch, self.optimisers.lr())

    def check_weights(self) -> None:
        """Raise a NonFiniteError if a weight of the student is not finite."""
        norms = torch._foreach_norm([p.detach() for p in self.student.parameters()])
        if not bool(torch.stack([norm.float() for norm in norms]).isfinite().all()):
            raise NonFiniteError(
                f"the weights are not finite after step {self.step} (learning rate {self.optimisers.lr()})"
            )

    def modules(self) -> dict[str, nn.Module]:
        """What is trained, and the moving average."""
        modules = {"student": self.student, "distiller": self.distiller, "balancer": self.balancer}
        return {name: m for name, m in {**modules, "average": self.average}.items() if m is not None}

    def state_dict(self) -> dict[str, Any]:
        """Modules, optimisers and schedulers, and the position in the run."""
        modules: dict[str, Any] = {name: module.state_dict() for name, module in self.modules().items()}
        if self.selection is not None:
            modules["selection"] = self.selection.state_dict()
        if self.best is not None:
            modules["best"] = self.best.state_dict()
        if self.callbacks:
            modules["callbacks"] = [callback.state_dict() for callback in self.callbacks]
        position = {"step": self.step, "seconds": self.seconds, "meter": self.meter.state_dict()}
        position |= {"stopped": self.stopped} if self.stopped else {}
        return {**modules, "optimisers": self.optimisers.state_dict(), **position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        for name, module in self.modules().items():
            module.load_state_dict(state[name])
        if self.selection is not None:
            self.selection.load_state_dict(state["selection"])
        if self.best is not None:
            self.best.load_state_dict(state["best"])
        for callback, own in zip(self.callbacks, state.get("callbacks", []), strict=True):
            callback.load_state_dict(own)
        self.optimisers.load_state_dict(state["optimisers"])
        self.meter.load_state_dict(state["meter"], next(self.student.parameters()).device)
        self.step, self.seconds, self.stopped = state["step"], state["seconds"], state.get("stopped", "")

    def resume(self, path: Path) -> bool:
        """Continue from a checkpoint; False where there is none.

        Raises:
            UserError: The checkpoint does not fit this run.
        """
        if not path.exists():
            return False
        state = load_checkpoint(path)
        try:
            self.load_state_dict(state)
        except (
            AttributeError,
            KeyError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:  # what torch raises, by mistake
            problem = f"{type(error).__name__}: {' '.join(str(error).split()[:20])}"
            raise UserError(
                f"{path}: expected a checkpoint of this run, found one that does not fit ({problem}); delete it"
            ) from error
        return True
