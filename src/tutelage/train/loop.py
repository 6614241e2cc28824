"""The loop around the step: it offers what methods need and knows none of them."""

import time
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tutelage.balance import conflict
from tutelage.errors import UserError
from tutelage.train.checkpoint import load_checkpoint, save_checkpoint
from tutelage.train.epoch_selection import EpochSelection
from tutelage.train.meter import Meter, NonFiniteError
from tutelage.train.optim import Optimisers
from tutelage.train.seed import derive
from tutelage.train.step import PartialStep, objective, training_step
from tutelage.train.streams import Streams
from tutelage.types import Balancer, Batch, Distiller, MultiTaskNet, Task, Terms


class Observer(Protocol):
    """Who watches a run."""

    def step(self, step: int, total: int) -> None:
        """After every step."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """With every line of the log."""


class Training:
    """A run in the middle: all that a checkpoint must hold."""

    def __init__(
        self,
        student: MultiTaskNet,
        distiller: Distiller | None,
        balancer: Balancer,
        optimisers: Optimisers,
        ema: float | None = None,
        selection: EpochSelection | None = None,
    ) -> None:
        self.student, self.distiller, self.balancer, self.optimisers = student, distiller, balancer, optimisers
        self.meter, self.selection = Meter(), selection
        self.average: AveragedModel | None = None
        if ema is not None:
            update = get_ema_multi_avg_fn(ema)  # type: ignore[no-untyped-call]  # of torch
            self.average = AveragedModel(student, multi_avg_fn=update, use_buffers=True)
        self.step = 0  # optimiser steps done
        self.seconds = 0.0  # spent training, over all sessions of the run

    @property
    def result(self) -> MultiTaskNet:
        """The network to evaluate and to save."""
        return self.student if self.average is None else cast(MultiTaskNet, self.average.module)

    def begin_step(self, progress: float, observed: bool) -> None:
        """Tell the methods how far the run is."""
        self.balancer.begin_step(progress)
        if self.distiller is not None:
            self.distiller.begin_step(progress, observed)

    def _modules(self) -> dict[str, nn.Module]:
        modules = {"student": self.student, "distiller": self.distiller, "balancer": self.balancer}
        return {name: m for name, m in {**modules, "average": self.average}.items() if m is not None}

    def state_dict(self) -> dict[str, Any]:
        """Modules, optimisers and schedulers, and the position in the run."""
        modules = {name: module.state_dict() for name, module in self._modules().items()}
        if self.selection is not None:
            modules["selection"] = self.selection.state_dict()
        position = {"step": self.step, "seconds": self.seconds, "meter": self.meter.state_dict()}
        return {**modules, "optimisers": self.optimisers.state_dict(), **position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        for name, module in self._modules().items():
            module.load_state_dict(state[name])
        if self.selection is not None:
            self.selection.load_state_dict(state["selection"])
        self.optimisers.load_state_dict(state["optimisers"])
        self.meter.load_state_dict(state["meter"], next(self.student.parameters()).device)
        self.step, self.seconds = state["step"], state["seconds"]

    def resume(self, path: Path) -> bool:
        """Continue from a checkpoint where there is one."""
        if not path.exists():
            return False
        state = load_checkpoint(path)
        try:
            self.load_state_dict(state)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            problem = f"{type(error).__name__}: {' '.join(str(error).split()[:20])}"
            raise UserError(
                f"{path}: expected a checkpoint of this run, found another's ({problem}); delete it"
            ) from error
        return True


def fit(
    fabric: Fabric,
    run: Training,
    tasks: Mapping[str, Task],
    loader: Iterable[Batch],
    streams: Streams,
    seed: int,
    checkpoint: Path | None = None,
    observer: Observer | None = None,
) -> None:
    """Train from `run.step` to the end.

    Args:
        fabric: gives the device, the precision and the loggers.
        run: what is trained.
        tasks: name -> task, for the losses.
        loader: the batches from `run.step` on.
        streams: where they come from.
        seed: of the randomness inside the network, for example dropout.
        checkpoint: where to save; none saves nothing.
        observer: is told of every step.

    Raises:
        NonFiniteError: a loss, or a gradient that is balanced, is not finite. Named are the task and the step.
    """
    config, total, per_epoch = streams.config, streams.steps, streams.steps_per_epoch
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    meter = run.meter
    started, saved = time.perf_counter() - run.seconds, time.perf_counter()
    run.student.train()
    for module in (run.distiller, run.balancer):
        if module is not None:
            module.train()
    # The unwrapped student under `fabric.autocast`: a wrapped one copies its outputs, and with them the boundary
    # that representation gradients need.
    for batches in _grouped(loader, streams.parts * len(streams)):
        parts = [batches[i : i + len(streams)] for i in range(0, len(batches), len(streams))]
        # Counted before they are copied: on the host, what labels there are is known without waiting for a GPU.
        reduces = [
            reduce
            for draw in range(streams.draws)
            for reduce in PartialStep.split(parts[draw * config.accumulate :][: config.accumulate], run.distiller, draw)
        ]
        labelled = [{t for batch in part for t, has in batch.labelled.items() if has.any()} for part in parts]
        parts = [[batch.to(fabric.device, layout) for batch in part] for part in parts]
        torch.manual_seed(derive(seed, "step", run.step))
        observed = (run.step + 1) % (config.observe_steps or per_epoch) == 0 or run.step + 1 == total
        seen: dict[str, Tensor] = {}
        observe = partial(_observe, seen) if observed else None  # of a step of several parts, the last
        run.begin_step(run.step / streams.scheduled, observed)
        run.optimisers.zero_grad()
        for i, (part, reduce, known) in enumerate(zip(parts, reduces, labelled, strict=True), 1):
            models = (run.student, tasks, run.distiller, run.balancer)
            look = observe if i == len(parts) else None
            terms, weights = training_step(part, *models, reduce, fabric.autocast, look)
            meter.add(terms, weights, known, run.step)
            if run.selection is not None:
                run.selection.add(terms, weights)
        if run.distiller is not None:
            meter.measure(run.distiller.distances())
        try:
            meter.weigh(run.balancer.finish())
        except Exception as error:  # of any balancer: what fails on a loss that is not a number does not name it
            meter.check(per_epoch, run.optimisers.lr())
            if isinstance(error, FloatingPointError):
                raise NonFiniteError(f"{error}; found at step {run.step + 1}") from error
            raise
        if config.clip_norm is not None:
            nn.utils.clip_grad_norm_(run.student.parameters(), config.clip_norm)
        run.optimisers.step()
        run.balancer.after_step(partial(_again, fabric, run, tasks, parts))
        if run.average is not None:
            run.average.update_parameters(run.student)
        run.step += 1
        if run.step % per_epoch == 0:
            run.balancer.end_epoch()
            run.optimisers.end_epoch()
            if run.selection is not None:
                run.selection.end_epoch(run.student.state_dict())
        if run.step % config.log_steps == 0 or run.step == total:
            lr = run.optimisers.lr()
            values = {"epoch": run.step / per_epoch, **meter.read(per_epoch, lr)}
            values |= {f"lr/{name}": value for name, value in lr.items()}
            fabric.log_dict(values, run.step)
            if observer is not None:
                observer.log(run.step, values)
        if observed:
            meter.check(per_epoch, run.optimisers.lr())
        if observed and run.distiller is not None:
            seen |= run.distiller.health()
        if seen:
            read = torch.stack([value.float() for value in seen.values()]).tolist()
            fabric.log_dict({"epoch": run.step / per_epoch, **dict(zip(seen, read, strict=True))}, run.step)
        if observer is not None:
            observer.step(run.step, total)
        run.seconds = time.perf_counter() - started
        due = time.perf_counter() - saved >= config.checkpoint_seconds
        due |= config.checkpoint_steps is not None and run.step % config.checkpoint_steps == 0
        if checkpoint is not None and (due or run.step == total):
            meter.check(per_epoch, run.optimisers.lr())
            _check_weights(run)
            save_checkpoint(checkpoint, run.state_dict())
            saved = time.perf_counter()

    if run.selection is not None and run.selection.weights and run.step == total:
        run.student.load_state_dict(run.selection.weights)


def _grouped(loader: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    batches = iter(loader)
    while group := list(islice(batches, size)):
        yield group


def _again(
    fabric: Fabric, run: Training, tasks: Mapping[str, Task], parts: list[list[Batch]], distilled: bool
) -> Terms:
    terms = Terms()
    with torch.no_grad(), fabric.autocast():
        for part in parts:
            more, _ = objective(part, run.student, tasks, run.distiller if distilled else None, run.balancer)
            terms.task += more.task
            terms.distill += more.distill
    return terms


def _observe(seen: dict[str, Tensor], terms: Terms, net: MultiTaskNet) -> None:
    seen.update(conflict(terms, net))


def _check_weights(run: Training) -> None:
    norms = torch._foreach_norm([p.detach() for p in run.student.parameters()])
    if not bool(torch.stack([norm.float() for norm in norms]).isfinite().all()):
        raise NonFiniteError(f"the weights are not finite after step {run.step} (learning rate {run.optimisers.lr()})")
