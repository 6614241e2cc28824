"""What distillation takes of memory."""

import tempfile
from pathlib import Path

from torch import nn

from tutelage.bench.cached import read_from_cache
from tutelage.bench.case import Case, machine_precision, make_tasks, random_batch
from tutelage.bench.cost import Cost
from tutelage.bench.harness import Settings
from tutelage.bench.networks import Network, chosen

LIMIT = 1.30  # distilled from the cache / plain
_MIB = 2**20


def memory(settings: Settings) -> list[Cost]:
    """The peak of a step of every network, plain and distilled: all that torch holds, with weights and gradients."""
    costs = []
    for _, network in chosen(settings):
        with tempfile.TemporaryDirectory() as folder:
            costs += _measure(network, settings, Path(folder))
    return costs


def _measure(network: Network, settings: Settings, folder: Path) -> list[Cost]:
    tasks = make_tasks()
    batch, device = random_batch(tasks, network), settings.device
    precision = machine_precision(device)
    peaks, costs = {}, []
    for name in ("plain", "cached", "computed"):
        settings.note(f"{network.label}: {name}")
        case = Case(network, tasks, batch, distilled=name != "plain", precision=precision, device=device)
        if name == "cached":
            read_from_cache(case, folder)
        weights = sum(map(_bytes, (case.run.student, *(() if case.parked else case.teachers))))
        peaks[name] = case.peak() + weights
        # Weights, their gradients and Adam's two means, which every step holds.
        floor = (weights + 3 * _bytes(case.run.student)) / _MIB
        costs.append(Cost("memory", network.label, f"{name}, {precision}", peaks[name] / _MIB, "MiB", floor=floor))
    for name, limit in (("cached", LIMIT), ("computed", None)):
        ratio = peaks[name] / peaks["plain"]
        costs.append(Cost("memory", network.label, f"distilled, {name} / plain", ratio, limit=limit))
    return costs


def _bytes(net: nn.Module) -> int:
    return sum(x.nbytes for x in (*net.parameters(), *net.buffers()))
