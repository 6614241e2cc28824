"""How everything is timed: in turns within one process, so that other load on the machine affects all alike."""

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal

import torch

from tutelage.errors import UserError

Action = Callable[[], object]
Accelerator = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Settings:
    """What the parts of the bench are asked for.

    Args:
        rounds: measurements per median.
        tasks: numbers of tasks, for `balancing`.
        networks: names in `NETWORKS`, for the parts that train one; empty: all.
        accelerator: where they are trained; `auto`: a GPU where there is one.
        note: called with a line about what is measured next.
    """

    rounds: int = 7
    tasks: Sequence[int] = (3, 5)
    networks: Sequence[str] = ()
    accelerator: Accelerator = "auto"
    note: Callable[[str], None] = field(default=print)

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UserError(f"--rounds: expected 1 or more, found {self.rounds}")
        if self.accelerator == "cuda" and not torch.cuda.is_available():
            raise UserError("--accelerator: expected a GPU for cuda, found none; use cpu or auto")

    @property
    def device(self) -> torch.device:
        """Where steps are computed."""
        gpu = self.accelerator != "cpu" and torch.cuda.is_available()
        return torch.device("cuda" if gpu else "cpu")

    @property
    def steps(self) -> int:
        """How many steps of training are timed at once: on a GPU one is over before the loop around it has begun."""
        return 10 if self.device.type == "cuda" else 1


def seconds(action: Action) -> float:
    """The wall-clock of one call, to the end of what it has left to a GPU."""
    started = clock()
    action()
    return clock() - started


def clock() -> float:
    """The time, in seconds, when a GPU has done what it was given."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # of torch
        torch.cuda.synchronize()
    return perf_counter()


def in_turns(actions: Mapping[str, Action], settings: Settings, about: str, repeats: int = 1) -> dict[str, list[float]]:
    """Seconds of every action in every round; before, each runs once, untimed.

    Args:
        actions: name -> what is timed.
        settings: the number of rounds, and who is told of them.
        about: what is measured, for the line.
        repeats: how often each action does what is measured; the seconds are of one.
    """
    for action in actions.values():
        action()
    times: dict[str, list[float]] = {name: [] for name in actions}
    for n in range(settings.rounds):
        settings.note(f"{about}: round {n + 1} of {settings.rounds}")
        gc.collect()
        for name, action in actions.items():
            times[name].append(seconds(action) / repeats)
    return times
