"""A trained network on images that it was not trained on."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import nan
from typing import TYPE_CHECKING, Any, get_args

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from tutelage.types import Batch, MetricProtocol, MultiTaskNet, Task, World
from tutelage.types.network import in_eval_mode

if TYPE_CHECKING:
    from torchmetrics import Metric

Metrics = dict[str, dict[str, float]]  # task -> metric -> value


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Put a network in eval mode, without gradients, for a block."""
    with in_eval_mode(net), torch.no_grad():
        yield


def evaluate(
    fabric: Fabric,
    net: MultiTaskNet,
    tasks: Mapping[str, Task],
    loader: Iterable[Batch],
    channels_last: bool = False,
    world: World | None = None,
) -> dict[str, Metrics]:
    """Every task's metrics, by protocol: {"dataset": {task: {metric: value}}, "image": ...}.

    Several processes count each its own images, and add what they counted once, at the end.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    protocols: tuple[MetricProtocol, ...] = get_args(MetricProtocol)
    counters = {p: {t: task.metrics(p).to(fabric.device) for t, task in tasks.items()} for p in protocols}
    undefined = {t: dict.fromkeys(task.metric_info, nan) for t, task in tasks.items()}  # without a label anywhere
    with evaluating(net):
        for batch in loader:
            if not batch.targets:
                continue
            batch = batch.to(fabric.device, layout)
            with fabric.autocast():
                output = net(batch.images, tasks=batch.targets)
            for t, target in batch.targets.items():
                prediction = tasks[t].activate(output.predictions[t])
                for counter in counters.values():
                    counter[t].update(prediction, target)
    for metric in (metric for counter in counters.values() for metric in counter.values()):
        _merge(metric, world or World())
    return {
        p: {t: _values(metric) if metric.update_called else undefined[t] for t, metric in counter.items()}
        for p, counter in counters.items()
    }


def _merge(metric: "Metric", world: World) -> None:
    """Give a metric what the processes have counted, each its own images."""
    metric.sync_on_compute = False  # of itself it would communicate wherever several processes are joined
    if world.size == 1:
        return
    host = torch.device("cpu")
    states = world.gather(_to(metric.metric_state, host) if metric.update_called else None)
    metric.reset()
    for state in (state for state in states if state is not None):
        metric._update_count += 1  # of torchmetrics: a metric that was never updated does not compute
        metric.merge_state(_to(state, metric.device))


def _to(state: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    return {
        name: [x.to(device) for x in value] if isinstance(value, list) else value.to(device)
        for name, value in state.items()
    }


def _values(metric: "Metric") -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


def predict(fabric: Fabric, net: MultiTaskNet, tasks: Mapping[str, Task], batch: Batch) -> dict[str, Tensor]:
    """The activated predictions of every task for one batch."""
    batch = batch.to(fabric.device)
    with evaluating(net), fabric.autocast():
        output = net(batch.images, tasks=tasks)
    return {t: task.activate(output.predictions[t]) for t, task in tasks.items()}
