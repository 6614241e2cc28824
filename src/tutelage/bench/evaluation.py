"""What evaluation costs beside the forward passes that it needs."""

import torch

from tutelage.bench.case import DTYPES, Case, machine_precision, make_tasks, random_batch
from tutelage.bench.cost import Cost, Spread
from tutelage.bench.harness import Settings, in_turns
from tutelage.bench.machine import operations_per_second
from tutelage.bench.networks import Network, chosen
from tutelage.train import evaluate
from tutelage.train.operations import operations
from tutelage.types import Batch

_BATCHES = 4


def evaluation(settings: Settings) -> list[Cost]:
    """A few batches through every network with the metrics of all tasks in both protocols, and without."""
    return [cost for _, network in chosen(settings) for cost in _measure(network, settings)]


def _measure(network: Network, settings: Settings) -> list[Cost]:
    tasks = make_tasks()
    device = settings.device
    precision = machine_precision(device)
    case = Case(network, tasks, random_batch(tasks, network), precision=precision, device=device)
    net, batches = case.run.student.eval(), [case.batch] * _BATCHES

    @torch.no_grad()
    def forward(batch: Batch) -> None:
        with case.fabric.autocast():
            net(batch.images.to(memory_format=case.layout))

    actions = {
        "evaluation": lambda: evaluate(case.fabric, net, tasks, batches, channels_last=True),
        "forward": lambda: [forward(batch) for batch in batches],
    }
    times = in_turns(actions, settings, network.label)
    images = _BATCHES * network.batch
    rate = operations_per_second(DTYPES[precision], device)
    floor = images / (operations(actions["forward"]) / rate)
    speed = Spread.of([images / value for value in times["evaluation"]])
    ratio = Spread.ratio(times["evaluation"], times["forward"])
    return [
        Cost.of("evaluation", network.label, f"images, {precision}", speed, "images/s", floor=floor, least=True),
        Cost.of("evaluation", network.label, "evaluation / forward passes", ratio, floor=1.0),
    ]
