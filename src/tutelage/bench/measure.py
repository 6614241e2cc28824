"""The parts of the bench by name, and their figures as a file."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from tutelage.bench.balancing import balancing
from tutelage.bench.cost import Cost
from tutelage.bench.data import data
from tutelage.bench.distillation import distillation
from tutelage.bench.evaluation import evaluation
from tutelage.bench.harness import Settings
from tutelage.bench.machine import facts, rates
from tutelage.bench.memory import memory
from tutelage.bench.precision import precision
from tutelage.bench.shares import shares
from tutelage.bench.startup import startup
from tutelage.files import write_json

PARTS: dict[str, Callable[[Settings], list[Cost]]] = {
    "balancing": balancing,
    "distillation": distillation,
    "precision": precision,
    "data": data,
    "evaluation": evaluation,
    "startup": startup,
    "memory": memory,
    "shares": shares,
}


def measure(parts: Sequence[str], settings: Settings) -> list[Cost]:
    """Measure some parts, one after the other."""
    return [cost for part in parts for cost in PARTS[part](settings)]


def write(path: Path, costs: Sequence[Cost], settings: Settings) -> None:
    """Write the figures as JSON, with what they were measured on."""
    machine = {**facts(), "rates": rates()}
    write_json(path, {"machine": machine, "rounds": settings.rounds, "costs": [asdict(cost) for cost in costs]})
