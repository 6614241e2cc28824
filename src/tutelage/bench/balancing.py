"""What balancing costs: time and memory of a step, compared with a plain sum of the losses in the same process."""

import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import torch

from tutelage.balance import (
    DBMTL,
    IMTLH,
    Aggregator,
    GradDrop,
    GradNorm,
    MoCo,
    Scalarizer,
    ScaleInvariant,
    Uncertainty,
    Uniform,
)
from tutelage.bench.case import BATCH, FILTERS, SIZE, Case, make_tasks, random_batch
from tutelage.bench.costs import Cost, Kind
from tutelage.bench.mtl_backward import MtlBackward
from tutelage.errors import UserError
from tutelage.files import write_json
from tutelage.types import Balancer

STEPS = 1  # per method in one round
# The highest ratio that each kind may have, by number of tasks; torchjd's own is there for comparison.
LIMITS: dict[Kind, dict[int, float]] = {
    "losses": {3: 1.05, 5: 1.05},
    "famo": {3: 1.40, 5: 1.30},
    "parameters": {3: 1.95, 5: 2.75},
    "representation": {3: 1.10, 5: 1.10},
    "torchjd": {},
}


METHODS: dict[str, tuple[Kind, Callable[[], Balancer]]] = {
    "DWA": ("losses", partial(Scalarizer, "DWA")),
    "STCH": ("losses", partial(Scalarizer, "STCH", {"mu": 1.0})),
    "UW": ("losses", partial(Scalarizer, "UW")),
    "Uncertainty": ("losses", Uncertainty),
    "ScaleInvariant": ("losses", ScaleInvariant),
    "FAMO": ("famo", partial(Scalarizer, "FAMO")),
    "MGDA": ("parameters", partial(Aggregator, "MGDA")),
    "PCGrad": ("parameters", partial(Aggregator, "PCGrad")),
    "UPGrad": ("parameters", partial(Aggregator, "UPGrad")),
    "CAGrad": ("parameters", partial(Aggregator, "CAGrad", {"c": 0.4})),
    "MoCo": ("parameters", MoCo),
    "DBMTL": ("parameters", DBMTL),
    "MGDA-UB": ("representation", partial(Aggregator, "MGDA", where="representation")),
    "GradDrop": ("representation", GradDrop),
    "GradNorm": ("representation", GradNorm),
    "IMTLH": ("representation", IMTLH),
    "mtl_backward, 1 by 1": ("torchjd", partial(MtlBackward, "PCGrad", 1)),
    "mtl_backward, all": ("torchjd", partial(MtlBackward, "PCGrad", None)),
}


def bench(
    counts: Sequence[int] = (3, 5), rounds: int = 7, steps: int = STEPS, note: Callable[[str], None] = print
) -> list[Cost]:
    """Measure every method, in turns with the plain sum, so that other load on the machine affects all alike.

    Args:
        counts: numbers of tasks.
        rounds: number of ratios per method, of which the median is reported.
        steps: steps per method in one round.
        note: called with a line about what is measured next.
    """
    return [cost for n in counts for distilled in (False, True) for cost in _measure(n, distilled, rounds, steps, note)]


def write(path: Path, costs: Sequence[Cost], rounds: int, steps: int = STEPS) -> None:
    """Write the costs as JSON, with what they were measured on."""
    facts = {
        "net": f"SegNet, filters {FILTERS}, {SIZE[0]}x{SIZE[1]}, batch {BATCH}, fp32, CPU",
        "rounds": rounds,
        "steps": steps,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "torchjd": importlib.metadata.version("torchjd"),
        "platform": platform.platform(),
    }
    write_json(path, {**facts, "costs": [asdict(cost) for cost in costs]})


def _measure(count: int, distilled: bool, rounds: int, steps: int, note: Callable[[str], None]) -> list[Cost]:
    tasks = make_tasks(count)
    batch = random_batch(tasks)
    chosen = dict[str, tuple[Kind, Callable[[], Balancer]]]()
    cases = {"": Case(Uniform(), tasks, batch, distilled)}
    for name, (kind, balancer) in METHODS.items():
        if kind != "torchjd" or not distilled:
            try:
                cases[name] = Case(balancer(), tasks, batch, distilled)
            except UserError as error:  # its solver is not installed
                note(f"{name} is left out: {error}")
            else:
                chosen[name] = kind, balancer
    peaks = {"": Case(Uniform(), tasks, batch, distilled).peak()}
    for name, (kind, balancer) in chosen.items():
        if kind != "losses":
            peaks[name] = Case(balancer(), tasks, batch, distilled).peak()
    for case in cases.values():
        case.seconds(1)
    ratios: dict[str, list[float]] = {name: [] for name in chosen}
    for n in range(rounds):
        note(f"{count} tasks{', distilled' if distilled else ''}: round {n + 1} of {rounds}")
        before = cases[""].seconds(steps)
        for name in chosen:  # the plain sum before and after each, since the speed of a machine drifts
            own, after = cases[name].seconds(steps), cases[""].seconds(steps)
            ratios[name].append(2 * own / (before + after))
            before = after
    costs = []
    for name, (kind, _) in chosen.items():
        low, _, high = quantiles(ratios[name], n=4, method="inclusive") if rounds > 1 else ratios[name] * 3
        room = round(0.1 * peaks[""]) + (count + 1) * cases[""].shared * 4
        over = peaks[name] - peaks[""] if name in peaks else None
        limit = LIMITS[kind].get(count)
        room += count * cases[""].shared * 4 if name in ("MoCo", "DBMTL") else 0  # which keep one gradient per task
        at_most = room if kind == "parameters" else None
        costs.append(Cost(count, distilled, name, kind, median(ratios[name]), low, high, limit, over, at_most))
    return costs
