"""A step asks the device for no number, except where it logs: on a GPU the host would wait for all that is queued."""

import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train.fixture import TASKS, Run, features
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

import tutelage
from tutelage.balance import (
    DBMTL,
    DTOKD,
    IMTLH,
    MOML,
    Aggregator,
    AutoLambda,
    FeedbackWeighting,
    GradDrop,
    GradNorm,
    MoCo,
    OnlineWeighting,
    Scalarizer,
    Uncertainty,
    Uniform,
)
from tutelage.distill import (
    AverageDistiller,
    CauchySchwarz,
    FeatureDistiller,
    LogitDistiller,
    OnlineDistiller,
    SumDistiller,
    TeacherLosses,
)
from tutelage.tasks import Segmentation
from tutelage.train import TrainConfig, fit, training_loader
from tutelage.types import Balancer, Distiller

PACKAGE = f"{Path(tutelage.__file__).parent}/"
_WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero", "aten::masked_select")
CONFIG = TrainConfig(
    epochs=4, batch_size=4, precision="32-true", accelerator="cpu", log_steps=1000, observe_steps=1000, clip_norm=1.0
)


class Waits(TorchDispatchMode):
    """Collects the places in this library that ask for what a GPU's host would wait for.

    Args:
        host: tensors that stay on the host: labels and counts of a batch. So does what follows from such alone.
    """

    def __init__(self, host: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.places: list[str] = []
        self.host = WeakTensorKeyDictionary(dict.fromkeys(host))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        of_host = bool(tensors) and all(x in self.host for x in tensors)
        of_host |= func._schema.name == "aten::lift_fresh"  # torch.tensor(number)
        masks = func._schema.name == "aten::index" and any(x is not None and x.dtype == torch.bool for x in args[1])
        if (func._schema.name in _WAITS or masks) and not of_host:
            frames = [frame for frame in traceback.extract_stack() if frame.filename.startswith(PACKAGE)]
            called = traceback.extract_stack()
            optimiser = any(frame.filename.endswith("torch/optim/optimizer.py") for frame in called)
            if not optimiser:  # which counts its steps on the host
                last = frames[-1] if frames else called[0]
                self.places.append(last.filename.removeprefix(PACKAGE))
        result = func(*args, **(kwargs or {}))
        if of_host:
            self.host.update({x: None for x in tree_leaves(result) if isinstance(x, Tensor)})
        return result


def waits_of_a_step(
    balancer: Callable[[], Balancer], distiller: Callable[..., Distiller] | None, config: TrainConfig = CONFIG
) -> set[str]:
    """The places of the second of three steps, in which nothing is set up and nothing is logged."""
    config = replace(config, max_steps=3)
    setup = Run(config, balancer, distill=distiller is not None, distiller=distiller or features)
    run, streams = setup.build(), setup.streams(config)
    batches = list(training_loader(streams, TASKS, config, 7))
    waits = Waits(x for batch in batches for x in (*batch.labelled.values(), *batch.counts.values()))
    steps = list[set[str]]()

    class Watching:
        def step(self, step: int, total: int) -> None:
            steps.append(set(waits.places))
            waits.places.clear()

        def log(self, step: int, values: object) -> None:
            pass

    with waits:
        fit(setup.fabric, run, TASKS, batches, config, streams.length, 7, observer=Watching())
    return steps[1]


def test_it_finds_what_waits() -> None:
    task = Segmentation(classes=3)
    with Waits() as waits:
        task.valid(torch.zeros(2, 2, dtype=torch.int64))  # which checks labels on the host
    assert set(waits.places) == {"tasks/categorical.py"}
    with Waits() as waits:
        torch.zeros(2)[torch.zeros(2, dtype=torch.bool)]
    assert len(waits.places) == 1


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
    "auto-lambda": AutoLambda,
}
# torchjd's solvers read the T x T matrix of products on the host, once per step.
SOLVERS: dict[str, tuple[Callable[[], Balancer], str]] = {
    "pcgrad": (lambda: Aggregator("PCGrad"), "balance/aggregator.py"),
    "mgda": (lambda: Aggregator("MGDA"), "balance/aggregator.py"),
    "imtl_h": (IMTLH, "balance/imtl.py"),
    "moml": (MOML, "balance/bilevel.py"),
}


def online(*args: Any) -> Distiller:
    return OnlineDistiller(*args, {"last": "last"}, warmup=0.0)


def compared(*args: Any) -> Distiller:
    return SumDistiller(*args, [features, TeacherLosses])


DISTILLERS: dict[str, tuple[Callable[..., Distiller], Callable[[], Balancer]]] = {
    "average": (lambda *args: AverageDistiller(*args, LogitDistiller), Uniform),
    "distance of predictions": (lambda *args: LogitDistiller(*args, distance=CauchySchwarz()), Uniform),
    "dropped": (lambda *args: FeatureDistiller(*args, {"last": "last"}, drop=0.5), Uniform),
    "dropped, own": (lambda *args: FeatureDistiller(*args, {"last": "last"}, drop=0.5, teach="own"), Uniform),
    "dto-kd": (features, DTOKD),
    "online": (online, OnlineWeighting),
    "phi-s": (lambda *args: FeatureDistiller(*args, {"last": "last"}, standardise="phi-s"), Uniform),
    "teachers' losses": (compared, FeedbackWeighting),
}


@pytest.mark.parametrize("distiller", [None, features])
@pytest.mark.parametrize("name", BALANCERS)
def test_a_step_waits_for_nothing(name: str, distiller: Callable[..., Distiller] | None) -> None:
    assert waits_of_a_step(BALANCERS[name], distiller) == set()


@pytest.mark.parametrize("name", DISTILLERS)
def test_no_distiller_waits(name: str) -> None:
    distiller, balancer = DISTILLERS[name]
    assert waits_of_a_step(balancer, distiller) == set()


@pytest.mark.parametrize("name", SOLVERS)
def test_only_a_solver_waits(name: str) -> None:
    balancer, place = SOLVERS[name]
    assert waits_of_a_step(balancer, features) == {place}
