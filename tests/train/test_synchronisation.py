"""A step asks the device for no number, except where it logs: on a GPU the host would wait for all that is queued."""

import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.train.fixture import TASKS, Run
from torch.utils._python_dispatch import TorchDispatchMode

from tutelage.balance import DBMTL, IMTLH, Aggregator, GradDrop, GradNorm, MoCo, Scalarizer, Uncertainty, Uniform
from tutelage.tasks import Segmentation
from tutelage.train import TrainConfig, fit, training_loader
from tutelage.types import Balancer

_WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero", "aten::masked_select")
# What is asked of tensors that stay on the host: labels and counts of a batch, before it is copied.
ON_THE_HOST = {"train/reduce.py", "balance/objective.py"}
CONFIG = TrainConfig(
    epochs=4, batch_size=4, precision="32-true", accelerator="cpu", log_steps=1000, observe_steps=1000, clip_norm=1.0
)


class Waits(TorchDispatchMode):
    """Collects the places in this library that ask for what a GPU's host would wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name in _WAITS:
            frames = [frame for frame in traceback.extract_stack() if "/tutelage/" in frame.filename]
            called = traceback.extract_stack()
            optimiser = any(frame.filename.endswith("torch/optim/optimizer.py") for frame in called)
            if not optimiser:  # which counts its steps on the host
                last = frames[-1] if frames else called[0]
                self.places.append(f"{last.filename.rpartition('/tutelage/')[2]}")
        return func(*args, **(kwargs or {}))


def waits_of_a_step(balancer: Callable[[], Balancer], distill: bool, config: TrainConfig = CONFIG) -> set[str]:
    """The places of the second of three steps, in which nothing is set up and nothing is logged."""
    config = replace(config, max_steps=3)
    setup = Run(config, balancer, distill=distill)
    run, streams = setup.build(), setup.streams(config)
    batches = list(training_loader(streams, TASKS, config, 7))
    waits, steps = Waits(), list[set[str]]()

    class Watching:
        def step(self, step: int, total: int) -> None:
            steps.append(set(waits.places))
            waits.places.clear()

        def log(self, step: int, values: object) -> None:
            pass

    with waits:
        fit(setup.fabric, run, TASKS, batches, config, streams.length, 7, observer=Watching())
    return {place for place in steps[1] if place not in ON_THE_HOST}


def test_it_finds_what_waits() -> None:
    task = Segmentation(classes=3)
    with Waits() as waits:
        task.valid(torch.zeros(2, 2, dtype=torch.int64))  # which checks labels on the host
    assert set(waits.places) == {"tasks/categorical.py"}


BALANCERS: dict[str, Callable[[], Balancer]] = {
    "uniform": Uniform,
    "uncertainty": Uncertainty,
    "dwa": lambda: Scalarizer("DWA"),
    "famo": lambda: Scalarizer("FAMO"),
    "upgrad": lambda: Aggregator("UPGrad"),
    "moco": MoCo,
    "db_mtl": DBMTL,
    "gradnorm": GradNorm,
    "graddrop": GradDrop,
}
# torchjd's solvers read the T x T matrix of products on the host, once per step.
SOLVERS: dict[str, tuple[Callable[[], Balancer], str]] = {
    "pcgrad": (lambda: Aggregator("PCGrad"), "balance/aggregator.py"),
    "mgda": (lambda: Aggregator("MGDA"), "balance/aggregator.py"),
    "imtl_h": (IMTLH, "balance/imtl.py"),
}


@pytest.mark.parametrize("distill", [False, True])
@pytest.mark.parametrize("name", BALANCERS)
def test_a_step_waits_for_nothing(name: str, distill: bool) -> None:
    assert waits_of_a_step(BALANCERS[name], distill) == set()


@pytest.mark.parametrize("name", SOLVERS)
def test_only_a_solver_waits(name: str) -> None:
    balancer, place = SOLVERS[name]
    assert waits_of_a_step(balancer, distill=True) == {place}
