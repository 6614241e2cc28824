"""The parts of the bench by name, and their figures as a file."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from tutelage.bench.balancing import balancing
from tutelage.bench.case import make_tasks
from tutelage.bench.cost import Cost
from tutelage.bench.data import data
from tutelage.bench.distillation import distillation
from tutelage.bench.evaluation import evaluation
from tutelage.bench.harness import Settings
from tutelage.bench.jobs import jobs
from tutelage.bench.machine import facts, rates
from tutelage.bench.memory import memory
from tutelage.bench.networks import NETWORKS
from tutelage.bench.precision import precision
from tutelage.bench.shares import shares
from tutelage.bench.startup import startup
from tutelage.errors import UserError
from tutelage.files import write_json
from tutelage.train import freed_memory_kept

PARTS: dict[str, Callable[[Settings], list[Cost]]] = {
    "balancing": balancing,
    "distillation": distillation,
    "precision": precision,
    "data": data,
    "evaluation": evaluation,
    "startup": startup,
    "memory": memory,
    "shares": shares,
    "jobs": jobs,
}


def measure(parts: Sequence[str], settings: Settings) -> list[Cost]:
    """Measure some parts, one after the other.

    Raises:
        UserError: There is no such network, or there are not as many tasks; nothing is measured then.
    """
    for name in settings.networks:
        if name not in NETWORKS:
            raise UserError(f"--networks: expected names among {', '.join(NETWORKS)}, found `{name}`")
    for count in settings.tasks:
        make_tasks(count)
    with freed_memory_kept(settings.device):  # as runs do
        return [cost for part in parts for cost in PARTS[part](settings)]


def write(path: Path, costs: Sequence[Cost], settings: Settings) -> None:
    """Write the figures as JSON, with what they were measured on."""
    machine = {**facts(settings.device), "rates": rates(settings.device)}
    write_json(path, {"machine": machine, "rounds": settings.rounds, "costs": [asdict(cost) for cost in costs]})
