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
    runs = _with_needs(results.folder, runs)
    operations = [_operations(run) for run in runs]
    if unit is None or not operations or None in operations:
        return None
    filled = {digest: count for run in runs for digest, (_, count) in _cached(run).items()}  # runs may share one
    return (sum(x for x in operations if x is not None) + sum(filled.values())) / unit


def _unit(results: Results) -> float | None:
    """The operations of a plain step of the student; None where the study trains none, or none was measured."""
    students = [run for m in results.multi_task for t in results.tasks if (run := results.run(m, t)) is not None]
    return next((plain for run in students if (plain := _count(run, "plain"))), None)


def _with_needs(folder: Path, runs: set[Path]) -> set[Path]:
    found, waiting = set[Path](), set(runs)
    while waiting:
        run = waiting.pop()
        found.add(run)
        waiting |= {folder / need for need in read_needs(run)} - found
    return found


def _operations(run: Path) -> float | None:
    """Of a whole run without what it has read; 0 where its weights come from a file, which nothing here has trained."""
    if read_mapping(run / "spec.json").get("file"):
        return 0.0
    steps, of_step = read_mapping(run / "result.json").get("steps"), _count(run, "step")
    if not isinstance(steps, int) or of_step is None:
        return None
    return steps * max(0.0, of_step - sum(spared for spared, _ in _cached(run).values()))


def _cached(run: Path) -> dict[str, tuple[float, float]]:
    """What a run has read: digest -> the operations that this spares a step, and those of computing it once."""
    found = _training(run).get("cached")
    pairs = {
        digest: (_number(x.get("step")), _number(x.get("fill")))
        for digest, x in (found.items() if isinstance(found, dict) else ())
        if isinstance(x, dict)
    }
    return {digest: (step, fill) for digest, (step, fill) in pairs.items() if step is not None and fill is not None}


def _count(run: Path, name: str) -> float | None:
    return _number(_training(run).get(name))


def _training(run: Path) -> Mapping[str, Any]:
    training = read_mapping(run / COST).get("training")
    return training if isinstance(training, dict) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e30 else None
