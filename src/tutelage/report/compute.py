"""What training a method costs: its runs and those that they need, in plain steps of the student."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tutelage.layout import COST
from tutelage.report.results import Results
from tutelage.report.run_files import read_mapping, read_needs


def student_steps(results: Results, method: str) -> float | None:
    """The compute of a method's first seed, that of its teachers included, in plain steps of the student.

    sum over its runs and those that they need of (steps x operations of a step) / (operations of a plain step)

    A plain step is forward pass, losses and backward pass of the student alone, on the same images. What a run has read
    from the cache of teachers counts as it was computed, once per view of an image. None where a run was not measured.
    """
    unit = _unit(results)
    runs = {run for t in results.tasks if (run := results.run(method, t)) is not None}
    costs = [_cost(run) for run in _with_needs(results.folder, runs)]
    if unit is None or not costs or None in costs:
        return None
    known = [cost for cost in costs if cost is not None]
    filled = {digest: count for _, fills in known for digest, count in fills.items()}  # runs may share one
    return (sum(own for own, _ in known) + sum(filled.values())) / unit


def _unit(results: Results) -> float | None:
    """The operations of a plain step of the student; None where the study trains none, or none was measured."""
    students = [run for m in results.multi_task for t in results.tasks if (run := results.run(m, t)) is not None]
    return next((plain for run in students if (plain := _number(_training(run).get("plain")))), None)


def _with_needs(folder: Path, runs: set[Path]) -> set[Path]:
    found, waiting = set[Path](), set(runs)
    while waiting:
        run = waiting.pop()
        found.add(run)
        waiting |= {folder / need for need in read_needs(run)} - found
    return found


def _cost(run: Path) -> tuple[float, Mapping[str, float]] | None:
    """The operations of a run, and those of computing what it has read from the cache, by digest; None: not measured.

    Both are 0 where its weights come from a file, which nothing here has trained.
    """
    if read_mapping(run / "spec.json").get("file"):
        return 0.0, {}
    training, steps = _training(run), read_mapping(run / "result.json").get("steps")
    of_step, cached = _number(training.get("step")), training.get("cached")
    if not isinstance(steps, int) or of_step is None:
        return None
    spared, fills = 0.0, dict[str, float]()
    for digest, x in cached.items() if isinstance(cached, dict) else ():
        step, fill = (_number(x.get(key)) if isinstance(x, dict) else None for key in ("step", "fill"))
        if step is not None and fill is not None:
            spared, fills[digest] = spared + step, fill
    return steps * max(0.0, of_step - spared), fills


def _training(run: Path) -> Mapping[str, Any]:
    training = read_mapping(run / COST).get("training")
    return training if isinstance(training, dict) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e30 else None
