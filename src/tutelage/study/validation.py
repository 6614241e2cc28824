"""The part of train on which the networks of a study are measured while they are trained."""

from collections.abc import Callable, Mapping
from functools import partial
from math import copysign, inf, isnan

from lightning_fabric import Fabric

from tutelage.errors import UserError
from tutelage.metrics import deltas
from tutelage.study.config import StudyConfig
from tutelage.train import BestEpoch, Callback, Training, average_buffers, evaluate, validation_loader
from tutelage.types import Task, World

_Metrics = Mapping[str, Mapping[str, float]]


def best_epoch(objects: StudyConfig) -> BestEpoch | None:
    """What remembers the best epoch of a run; None: nothing is held out."""
    train = objects.train
    return None if train.validation is None else BestEpoch(partial(gain, tasks=objects.tasks), train.keep == "best")


def make_callbacks(objects: StudyConfig) -> list[Callback]:
    """The callbacks of a run: objects of its own.

    Raises:
        UserError: One of them is no callback, or reads metrics of a validation part that there is not.
    """
    callbacks = []
    for make in objects.train.callbacks:
        callback = make()
        name = type(callback).__name__
        if not isinstance(callback, Callback):
            raise UserError(f"train.callbacks: expected classes that derive from tutelage.train.Callback, found {name}")
        if callback.needs_validation and objects.train.validation is None:
            raise UserError(f"train.validation: expected a part of train such as 0.1 for {name}, found none")
        callbacks.append(callback)
    return callbacks


def check_validation(objects: StudyConfig) -> None:
    """Raise a UserError where the part that is held out, or the rest of train, has no images."""
    held = objects.validation_data
    for name, part in {} if held is None else held.parts().items():
        own, rest = (len(part.source.split(split)) for split in ("test", "train"))
        if not own or not rest:
            raise UserError(
                f"train.validation: expected images in both parts of train, found {own} and {rest} of {name} with "
                f"{objects.train.validation:g}; take another part"
            )


def measure(
    objects: StudyConfig, run: Training, fabric: Fabric, world: World
) -> Callable[[], Mapping[str, Mapping[str, float]]] | None:
    """What gives the metrics of a run's network on the held-out part, in the dataset protocol; None: there is none."""
    held, train = objects.validation_data, objects.train
    if held is None:
        return None

    def metrics() -> _Metrics:
        average_buffers(world, run.modules().values())  # each process has seen other images
        loader = validation_loader(held, objects.tasks, train, world, fabric.device)
        layout = train.known_channels_last() is True
        return evaluate(fabric, run.result, objects.tasks, loader, layout, world)["dataset"]

    return metrics


def gain(metrics: _Metrics, best: _Metrics, tasks: Mapping[str, Task]) -> float:
    """Delta of the main metrics over those of the best epoch, in %.

    A task whose metric has no value in one of them is left out. Where the best epoch has 0, any other value is
    infinitely better or worse.
    """
    gains = []
    for t, task in tasks.items():
        value, base = metrics[t][task.main], best[t][task.main]
        if base == 0 and value != 0 and not isnan(value):
            gains.append(copysign(inf, value if task.metric_info[task.main].higher_is_better else -value))
        elif not isnan(delta := 0.0 if value == base == 0 else deltas(metrics, best, {t: task})["main"]):
            gains.append(delta)
    return sum(gains) / len(gains) if gains else 0.0
