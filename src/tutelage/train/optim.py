"""Optimisers and schedulers of the config: one pair each for student, adaptors and balancer."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tutelage.errors import UserError

_A = TypeVar("_A")
_B = TypeVar("_B")


# The parts of a run -> where a study says how they are optimised, for messages.
_KEYS = {
    "student": "train.student",
    "networks": "train.student",
    "adaptors": "adaptor_optim",
    "balancer": "balancer_optim",
}


@dataclass
class Optim:
    """An optimiser and its scheduler, each by class path.

    Args:
        optimizer: called with the parameters.
        scheduler: called with the optimiser; null keeps the learning rate constant.
        interval: whether the scheduler steps after every epoch or every step.
    """

    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = torch.optim.Adam
    scheduler: Callable[[Optimizer], LRScheduler] | None = None
    interval: Literal["epoch", "step"] = "epoch"


class Cosine(LRScheduler):
    """lr(n) = lr(0) (1 + cos(pi (n - W) / (N - W))) / 2, by default over the whole run, whatever its length.

    Before, for n < W, lr(n) = lr(0) (n + 1) / (W + 1).

    Args:
        total: N, in intervals of the scheduler; 0: the length of the run.
        warmup: W / N, the part of the run in which the learning rate grows; W is rounded.

    Raises:
        UserError: `warmup` is not in [0, 1).
    """

    def __init__(self, optimizer: Optimizer, total: int = 0, warmup: float = 0.0) -> None:
        if not 0 <= warmup < 1:
            raise UserError(f"scheduler.warmup: expected a part of the run in 0 <= warmup < 1, found {warmup:g}")
        self.total, self.warmup = total, warmup
        super().__init__(optimizer)

    def span(self, total: int) -> None:
        """Set N before the first step, and with it the learning rate of that step."""
        self.total = total
        self._last_lr = self.get_lr()
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr

    def get_lr(self) -> list[float | Tensor]:
        """The learning rate of every parameter group."""
        warm = min(round(self.warmup * self.total), self.total - 1) if self.total else 0
        if self.last_epoch < warm:
            factor = (self.last_epoch + 1) / (warm + 1)
        else:
            done = min((self.last_epoch - warm) / (self.total - warm), 1.0) if self.total else 0.0
            factor = (1 + math.cos(math.pi * done)) / 2
        return [lr * factor for lr in self.base_lrs]


class Optimisers:
    """The optimisers of a run, as one.

    Args:
        parts: name -> (parameters, optimiser and scheduler); a part without parameters gets no optimiser.
        epochs: length of the run in epochs, for schedulers that span it.
        steps: length of the run in steps.
        lr: learning rates that replace the optimisers' own, by part.
        stretch: factor by which the run is longer than usual: schedulers with a fixed length, such as StepLR, step less
            often by this factor. `Cosine` without a `total` spans the run whatever its length.
        early: step the schedulers of epochs at the start of each, one epoch early, as the authors' scripts do.
    """

    def __init__(
        self,
        parts: Mapping[str, tuple[list[nn.Parameter], Optim]],
        epochs: int,
        steps: int,
        lr: Mapping[str, float] | None = None,
        stretch: float = 1.0,
        early: bool = False,
    ) -> None:
        self.stretch = stretch
        self.done = {"epoch": 0, "step": 0}
        self.optimizers: dict[str, Optimizer] = {}
        self.schedulers: dict[str, tuple[LRScheduler, str]] = {}
        self._spanning: set[str] = set()  # the schedulers that span the run
        for name, (parameters, optim) in parts.items():
            if not parameters:
                continue
            key = _KEYS.get(name, name)
            optimizer = self.optimizers[name] = _fused(_built(f"{key}.optimizer", optim.optimizer, parameters))
            if lr is not None and name in lr:
                for group in optimizer.param_groups:
                    group["lr"] = lr[name]
            if bad := [group["lr"] for group in optimizer.param_groups if not 0 <= group["lr"] < math.inf]:
                raise UserError(f"{key}.optimizer.lr: expected a number of at least 0, found {bad[0]:g}; give another")
            if optim.scheduler is None:
                continue
            scheduler = _built(f"{key}.scheduler", optim.scheduler, optimizer)
            if isinstance(scheduler, Cosine) and not scheduler.total:
                scheduler.span(epochs if optim.interval == "epoch" else steps)
                self._spanning.add(name)
            self.schedulers[name] = (scheduler, optim.interval)
        if early:
            with warnings.catch_warnings():  # torch warns of this order, which is intended
                warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
                self._schedule("epoch")

    def zero_grad(self) -> None:
        """Reset all gradients."""
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()

    def step(self) -> None:
        """Update all parameters, then the learning rates that change every step."""
        for optimizer in self.optimizers.values():
            for p in _fused_parameters(optimizer):
                if p.grad is not None and p.grad.stride() != p.stride():
                    p.grad = torch.empty_like(p).copy_(p.grad)
            optimizer.step()
        self._schedule("step")

    def end_epoch(self) -> None:
        """Update the learning rates that change every epoch; call it after the epoch's last step."""
        self._schedule("epoch")

    def _schedule(self, interval: str) -> None:
        self.done[interval] += 1
        done, before = (math.floor(n / self.stretch + 1e-9) for n in (self.done[interval], self.done[interval] - 1))
        for name, (scheduler, when) in self.schedulers.items():
            if when == interval:
                for _ in range(1 if name in self._spanning else done - before):
                    scheduler.step()

    def lr(self) -> dict[str, float]:
        """The learning rate of every part's first parameter group."""
        return {name: float(optimizer.param_groups[0]["lr"]) for name, optimizer in self.optimizers.items()}

    def state_dict(self) -> dict[str, Any]:
        """The state of all optimisers and schedulers."""
        return {
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "schedulers": {name: scheduler.state_dict() for name, (scheduler, _) in self.schedulers.items()},
            "done": dict(self.done),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
            for p in _fused_parameters(optimizer):
                for key, value in optimizer.state.get(p, {}).items():
                    if isinstance(value, Tensor) and value.shape == p.shape:
                        optimizer.state[p][key] = torch.empty_like(p).copy_(value)
        for name, (scheduler, _) in self.schedulers.items():
            scheduler.load_state_dict(state["schedulers"][name])
        self.done = dict(state["done"])


def _fused(optimizer: Optimizer) -> Optimizer:
    """The same optimiser; Adam and AdamW update a network on a CPU in one kernel, unless `fused` or `foreach` is given.

    PyTorch's default there is a loop over the parameters, which takes three to four times as long; on a GPU it is
    `foreach` already. An optimiser that continues from a checkpoint does what it did before it.
    """
    if type(optimizer) in (torch.optim.Adam, torch.optim.AdamW):
        for group in optimizer.param_groups:
            given = group["fused"] is not None or group["foreach"] is not None
            other = group["capturable"] or group["differentiable"]
            if not (given or other) and all(p.device.type == "cpu" and p.is_floating_point() for p in group["params"]):
                group["fused"] = True
    return optimizer


def _fused_parameters(optimizer: Optimizer) -> Iterator[nn.Parameter]:
    """The parameters that a fused kernel updates on a CPU: gradient and state need their strides.

    The kernel reads them in the order of memory (PyTorch 2.15): with other strides it takes the gradient of another
    weight, and says nothing. A backward pass gives the right ones; a method that sets gradients may give others, and
    so may a checkpoint of another memory layout.
    """
    for group in optimizer.param_groups:
        if group.get("fused"):
            yield from (p for p in group["params"] if p.device.type == "cpu")


def _built(key: str, build: Callable[[_A], _B], argument: _A) -> _B:
    """`build(argument)`; its errors name the key, which torch's do not."""
    try:
        return build(argument)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{key}: expected valid arguments, found: {error}") from error
