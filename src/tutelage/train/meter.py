"""Means between two lines of the log, and the check that losses are finite."""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from tutelage.errors import UserError
from tutelage.types import Terms, World


class NonFiniteError(UserError):
    """A loss or a weight is not finite; the last checkpoint is from before that. The user has to change training."""


_EQUAL = "weight/"  # begins the names of what is the same in all processes


class Meter:
    """Means since the last line of the log, kept on the device: only `read`, `check` and `state_dict` wait for it.

    In several processes each adds its share of a mean, the sum over its images over the count of all images, and what
    it reads or saves is `merge`d before.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.first_bad: dict[str, Tensor] = {}  # first step whose loss is not finite, or -1

    def add(self, terms: Terms, weights: Mapping[str, Tensor], labelled: Collection[str], step: int) -> None:
        """Add one part of a step: the losses of the tasks in `labelled`, which have a label in it, and all else."""
        values = {f"loss/{t}": term.mean().detach() for t, term in terms.task.items() if t in labelled}
        values |= {f"distill/{t}": term.mean().detach() for t, term in terms.distill.items()}
        for name, value in values.items():
            bad = self.first_bad[name] if name in self.first_bad else torch.full_like(value, -1.0)
            self.first_bad[name] = torch.where((bad < 0) & ~value.isfinite(), step, bad)
        self._sum(values)
        self.weigh(weights)

    def measure(self, distances: Mapping[str, Tensor]) -> None:
        """Add the distances to the teachers of a step."""
        self._sum({f"distance/{name}": value for name, value in distances.items()})

    def weigh(self, weights: Mapping[str, Tensor]) -> None:
        """Add the weights of a step, or of one part of it."""
        self._sum({f"weight/{t}": weight for t, weight in weights.items()})

    def _sum(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1

    def merge(self, world: World) -> None:
        """Give the main process the sums of all; and all of them the first step whose loss is not finite."""
        if world.size == 1:
            return
        own = {name: value.item() for name, value in self.sums.items()}
        bad_here = {name: value.item() for name, value in self.first_bad.items()}
        everyone = world.gather((own, bad_here, self.counts))
        sums, first_bad = dict[str, float](), dict[str, float]()
        for n, (of_process, bad, counts) in enumerate(everyone):
            for name, value in of_process.items():
                if n == 0 or not name.startswith(_EQUAL):
                    sums[name] = sums.get(name, 0.0) + value
                self.counts[name] = max(self.counts.get(name, 0), counts[name])
            for name, step in bad.items():
                steps = [s for s in (first_bad.get(name, -1.0), step) if s >= 0]
                first_bad[name] = min(steps, default=-1.0)
        device = next((value.device for value in self.first_bad.values()), None)
        self.sums = {name: torch.tensor(value, device=device) for name, value in sums.items()}
        self.first_bad = {name: torch.tensor(step, device=device) for name, step in first_bad.items()}
        self.leave_to_main(world)

    def leave_to_main(self, world: World) -> None:
        """Count what is known to all processes, as after loading a checkpoint, in the main one alone."""
        if not world.main:
            self.sums = {name: torch.zeros_like(value) for name, value in self.sums.items()}

    def read(self, per_epoch: int, lr: Mapping[str, float]) -> dict[str, float]:
        """The means since the last call."""
        self.check(per_epoch, lr)
        sums = torch.stack([value.float() for value in self.sums.values()]).tolist() if self.sums else []
        means = {name: total / self.counts[name] for name, total in zip(self.sums, sums, strict=True)}
        self.sums, self.counts = {}, {}
        return means

    def so_far(self, world: World) -> dict[str, float]:
        """The means since the last call of `read`, which are kept."""
        copy = Meter()
        copy.sums, copy.counts = dict(self.sums), dict(self.counts)
        copy.merge(world)
        return {name: float(total) / copy.counts[name] for name, total in copy.sums.items()}

    def check(self, per_epoch: int, lr: Mapping[str, float]) -> None:
        """Raise a NonFiniteError if a loss was not finite."""
        if not self.first_bad:
            return
        steps = torch.stack(list(self.first_bad.values())).tolist()
        bad = {name: int(step) for name, step in zip(self.first_bad, steps, strict=True) if step >= 0}
        if bad:
            step = min(bad.values())
            names = ", ".join(name for name in bad if bad[name] == step)
            raise NonFiniteError(
                f"not finite at step {step + 1} (epoch {step / per_epoch:.2f}, learning rate "
                f"{lr.get('student', float('nan')):g}): {names}; the last checkpoint is from before it; lower "
                "train.student.optimizer.lr, set train.clip_norm, or train with --precision 32-true"
            )

    def state_dict(self) -> dict[str, Any]:
        """The sums, so that a resumed run logs what an undisturbed one does."""
        return {"sums": dict(self.sums), "counts": dict(self.counts)}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Continue from `state_dict()`."""
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}
        self.counts = dict(state["counts"])
