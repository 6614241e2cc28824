"""What balancing costs: time and memory of a step, compared with a plain sum of the losses in the same process."""

from collections.abc import Callable
from functools import partial
from typing import Literal

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
from tutelage.bench.case import Case, make_tasks, random_batch
from tutelage.bench.cost import Cost, Spread
from tutelage.bench.harness import Settings
from tutelage.bench.mtl_backward import MtlBackward
from tutelage.bench.networks import NETWORKS
from tutelage.errors import UserError
from tutelage.types import Balancer

Kind = Literal["losses", "famo", "parameters", "representation", "torchjd"]
NETWORK = "segnet-quarter"
_MIB = 2**20
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


def balancing(settings: Settings) -> list[Cost]:
    """Every method, in turns with the plain sum, in fp32, without and with distillation."""
    return [cost for n in settings.tasks for distilled in (False, True) for cost in _measure(n, distilled, settings)]


def _measure(count: int, distilled: bool, settings: Settings) -> list[Cost]:
    network, tasks = NETWORKS[NETWORK], make_tasks(count)
    batch = random_batch(tasks, network)
    label = f"{count} tasks{', distilled' if distilled else ''}"

    def build(balancer: Balancer) -> Case:
        return Case(network, tasks, batch, balancer, distilled, device=settings.device)

    chosen = dict[str, tuple[Kind, Callable[[], Balancer]]]()
    cases = {"": build(Uniform())}
    for name, (kind, balancer) in METHODS.items():
        if kind != "torchjd" or not distilled:
            try:
                cases[name] = build(balancer())
            except UserError as error:  # its solver is not installed
                settings.note(f"{name} is left out: {error}")
            else:
                chosen[name] = kind, balancer
    peaks = {"": build(Uniform()).peak()}
    for name, (kind, balancer) in chosen.items():
        if kind != "losses":
            peaks[name] = build(balancer()).peak()
    for case in cases.values():
        case.steps()
    ratios: dict[str, list[float]] = {name: [] for name in chosen}
    for n in range(settings.rounds):
        settings.note(f"{label}: round {n + 1} of {settings.rounds}")
        before = cases[""].seconds(1)
        for name in chosen:  # the plain sum before and after each, since the speed of a machine drifts
            own, after = cases[name].seconds(1), cases[""].seconds(1)
            ratios[name].append(2 * own / (before + after))
            before = after
    costs = []
    for name, (kind, _) in chosen.items():
        spread, limit = Spread.of(ratios[name]), LIMITS[kind].get(count)
        costs.append(Cost.of("balancing", label, name, spread, floor=1.0, limit=limit, kind=kind))
    row = cases[""].shared * 4 / _MIB  # of the matrix of gradients
    for name, (kind, _) in chosen.items():
        if name in peaks:
            # MoCo and DB-MTL keep one gradient per task.
            rows = count + 1 + (count if name in ("MoCo", "DBMTL") else 0)
            room = 0.1 * peaks[""] / _MIB + rows * row if kind == "parameters" else None
            over = (peaks[name] - peaks[""]) / _MIB
            costs.append(Cost("balancing", label, f"{name}, memory over plain", over, "MiB", limit=room, kind=kind))
    return costs
