"""What distillation costs beside a plain step and beside the forward passes of the teachers."""

import tempfile
from functools import partial
from pathlib import Path

import torch

from tutelage.bench.cached import read_from_cache
from tutelage.bench.case import DTYPES, MATCH, Case, machine_precision, make_tasks, random_batch
from tutelage.bench.cost import Cost, Spread
from tutelage.bench.harness import Settings, in_turns
from tutelage.bench.machine import bytes_per_second, operations_per_second
from tutelage.bench.networks import Network, chosen
from tutelage.train.operations import operations
from tutelage.types import Output

# The highest ratios: from the cache to a plain step; computed, to a plain step and one pass of every teacher.
CACHED = {"segnet": 1.15, "segnet-quarter": 1.25, "efficientnet-lite0": 1.20}
COMPUTED = {"segnet": 1.10, "segnet-quarter": 1.15, "efficientnet-lite0": 1.15}


def distillation(settings: Settings) -> list[Cost]:
    """A step of every network that learns from one teacher per task, in the precision that this machine trains in."""
    costs = []
    for name, network in chosen(settings):
        with tempfile.TemporaryDirectory() as folder:
            costs += _measure(name, network, settings, Path(folder))
    return costs


def _measure(key: str, network: Network, settings: Settings, folder: Path) -> list[Cost]:
    tasks = make_tasks()
    batch, device = random_batch(tasks, network), settings.device
    precision = machine_precision(device)
    rate = operations_per_second(DTYPES[precision], device)
    build = partial(Case, network, tasks, batch, precision=precision, device=device)
    plain, computed = build(), build(distilled=True)
    cached = read_from_cache(build(distilled=True), folder)
    steps = settings.steps
    actions = {
        "plain": partial(plain.steps, steps),
        "cached": partial(cached.steps, steps),
        "computed": partial(computed.steps, steps),
        "teachers": partial(computed.teach, steps),
    }
    times = in_turns(actions, settings, network.label, repeats=steps)
    count = {name: operations(action) / steps for name, action in actions.items()}
    apart = [a + b for a, b in zip(times["plain"], times["teachers"], strict=True)]
    # Beside the operations of both, every tap is read once forward and once backward.
    least = count["plain"] / rate + 2 * tap_bytes(computed) / bytes_per_second(device)
    floors = {
        "plain": count["plain"] / rate,
        "cached": least,
        "computed": least + count["teachers"] / rate,
        "teachers": count["teachers"] / rate,
    }
    names = {
        "plain": "plain",
        "cached": "distilled, cached",
        "computed": "distilled, computed",
        "teachers": "one forward pass of every teacher",
    }
    case = network.label
    costs = [
        Cost.of("distillation", case, f"{names[name]}, {precision}", Spread.of(values), "ms", floor=floors[name])
        for name, values in times.items()
    ]
    for name, limit in (("cached", CACHED.get(key)), ("computed", None)):
        ratio, floor = Spread.ratio(times[name], times["plain"]), floors[name] / floors["plain"]
        costs.append(Cost.of("distillation", case, f"distilled, {name} / plain", ratio, floor=floor, limit=limit))
    ratio = Spread.ratio(times["computed"], apart)
    name = f"distilled, computed / (plain + {len(tasks)} forward passes)"
    costs.append(Cost.of("distillation", case, name, ratio, floor=1.0, limit=COMPUTED.get(key)))
    return costs


@torch.no_grad()
def tap_bytes(case: Case) -> int:
    """Bytes of what a distilled step compares: the taps of student and teachers, in the precision of the case."""
    taps = 0
    for net in (case.run.student, *case.teachers):
        with case.fabric.autocast():
            output: Output = net(case.batch.images.to(memory_format=case.layout), tasks=())
        features = [output.taps[name] for name in MATCH]
        taps += sum(x.nbytes for x in features if isinstance(x, torch.Tensor))
    return taps
