"""What a run leaves behind about its steps: means and their log, health, and calls to an observer."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor

from tutelage.balance import conflict
from tutelage.train.config import TrainConfig
from tutelage.train.meter import NonFiniteError
from tutelage.train.reduce import PartialStep
from tutelage.train.streams import RunLength
from tutelage.train.training import Training
from tutelage.types import MultiTaskNet, Terms, World

_LOG_STEPS = 20  # of a long run
_LINES = 20  # of the log of a short one


class Observer(Protocol):
    """Is told of every step of a run, and of its losses: for progress bars and tuning."""

    def step(self, step: int, total: int) -> None:
        """Called after every step."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Called with every line of the log, and after the first step."""


class Recorder:
    """Measures the steps of a run, and writes its log.

    The last step of an epoch, or every `observe_steps`, is *observed*: only then are conflict between the tasks'
    gradients and the health of distillation computed, since both cost more than a mean.

    Args:
        fabric: has the loggers.
        run: what is trained.
        config: when to log and to observe.
        length: of the run.
        observer: is told of every step; None: nobody.
        world: the processes that train together; the main one logs what all have measured.
    """

    def __init__(
        self,
        fabric: Fabric,
        run: Training,
        config: TrainConfig,
        length: RunLength,
        observer: Observer | None,
        world: World,
    ) -> None:
        self.fabric, self.run, self.length, self.observer, self.world = fabric, run, length, observer, world
        self.log_steps = config.log_steps or min(_LOG_STEPS, max(1, length.steps // _LINES))
        self.observe_steps = config.observe_steps or length.per_epoch
        self._told = False  # whether the observer knows any loss
        self._health: dict[str, Tensor] = {}  # of the step, where it is observed
        self._distances: dict[str, Tensor] = {}  # every distance that this process has met, as 0
        run.meter.leave_to_main(world)

    @property
    def observes(self) -> bool:
        """Whether the step that begins is observed."""
        return self._due(self.run.step + 1, self.observe_steps)

    def observe(self, reduce: PartialStep, terms: Terms, net: MultiTaskNet) -> None:
        """Compute the conflict between the tasks' gradients, before the backward pass frees the graph."""
        self._health |= conflict(reduce.of_part(terms), net, self.world)

    def add(self, reduce: PartialStep, terms: Terms, weights: Mapping[str, Tensor]) -> None:
        """The losses and weights of one part of a step."""
        self.run.meter.add(reduce.of_part(terms), weights, reduce.labelled, self.run.step)

    def end_parts(self, weights: Mapping[str, Tensor], reduces: Sequence[PartialStep]) -> None:
        """After all parts of a step: the distances to the teachers, and the weights that were determined last."""
        if self.run.distiller is not None:
            self.run.meter.measure(self._shares(self.run.distiller.distances(), reduces))
        self.run.meter.weigh(weights)

    def _shares(self, distances: Mapping[str, Tensor], reduces: Sequence[PartialStep]) -> Mapping[str, Tensor]:
        """What this process adds to the distances of a step: its means, in the proportion of its images."""
        if self.world.size == 1:
            return distances
        self._distances |= {name: torch.zeros_like(value) for name, value in distances.items()}
        own, whole = (
            {key: sum(int(part.taught.get(key, 0)) for part in parts) for key in reduces[0].taught}
            for parts in ([reduce.own for reduce in reduces], [reduce.part for reduce in reduces])
        )
        shares = {}
        for name, zero in self._distances.items():
            key = max((key for key in whole if name.startswith(f"{key}/")), key=len, default=None)
            if key is not None and whole[key]:
                shares[name] = distances.get(name, zero) * (own[key] / whole[key])
        return shares

    @contextmanager
    def named_errors(self) -> Iterator[None]:
        """Name the task and the step where a balancer, or the solver in it, fails on a number that is not finite.

        Raises:
            NonFiniteError: A loss, or a gradient that is balanced, is not finite.
        """
        try:
            yield
        except Exception as error:  # solvers raise errors of any type, which do not name the loss
            self.run.check_losses(self.length.per_epoch)
            if isinstance(error, FloatingPointError):
                raise NonFiniteError(f"{error}; found at step {self.run.step + 1}") from error
            raise

    def end_step(self) -> None:
        """After a step: write the lines of the log that are due, and tell the observer."""
        step, per_epoch = self.run.step, self.length.per_epoch
        if not self._told and (self.observer is not None or self.world.size > 1):
            values = self.run.meter.so_far(self.world)  # of all processes, which therefore all ask
            if self.observer is not None:
                self.observer.log(step, values)
            self._told = True
        if self._due(step, self.log_steps):
            self.run.meter.merge(self.world)
            lr = self.run.optimisers.lr()
            values = {"epoch": step / per_epoch, **self.run.meter.read(per_epoch, lr)}
            values |= {f"lr/{name}": value for name, value in lr.items()}
            self.fabric.log_dict(values, step)
            if self.observer is not None:
                self.observer.log(step, values)
        if self._due(step, self.observe_steps):
            self.run.meter.merge(self.world)
            self.run.check_losses(per_epoch)  # adaptors that are not finite have no health
            self._health |= {} if self.run.distiller is None else self.run.distiller.health()
            health = self._mean_health()
            if health:
                self.fabric.log_dict({"epoch": step / per_epoch, **health}, step)
            self._health = {}
        if self.observer is not None:
            self.observer.step(step, self.length.steps)

    def _mean_health(self) -> dict[str, float]:
        """The numbers of the observed step; of several processes, the mean over those that have one."""
        numbers = torch.stack([value.float() for value in self._health.values()]).tolist() if self._health else []
        own = dict(zip(self._health, numbers, strict=True))
        if self.world.size == 1:
            return own
        everyone = self.world.gather(own)
        names = dict.fromkeys(name for numbers in everyone for name in numbers)
        values = {name: [numbers[name] for numbers in everyone if name in numbers] for name in names}
        return {name: sum(found) / len(found) for name, found in values.items()}

    def _due(self, step: int, interval: int) -> bool:
        return step % interval == 0 or step == self.length.steps
