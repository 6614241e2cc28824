"""What training a method costs: its runs and those that they need, in plain steps of the student."""

from pathlib import Path

from tutelage.layout import COST
from tutelage.report.results import Results
from tutelage.report.run_files import read_mapping, read_needs


def student_steps(results: Results, method: str) -> float | None:
    """The compute of a method's first seed, that of its teachers included, in plain steps of the student.

    sum over its runs and those that they need of (steps x operations of a step) / (operations of a plain step)

    A plain step is forward pass, losses and backward pass of the student alone, on the same images. None where a run
    was not measured.
    """
    unit = _unit(results)
    runs = {run for t in results.tasks if (run := results.run(method, t)) is not None}
    operations = [_operations(run) for run in _with_needs(results.folder, runs)]
    if unit is None or not operations or None in operations:
        return None
    return sum(x for x in operations if x is not None) / unit


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
    """Of a whole run: none where its weights come from a file, which nothing here has trained."""
    if read_mapping(run / "spec.json").get("file"):
        return 0.0
    steps, of_step = read_mapping(run / "result.json").get("steps"), _count(run, "step")
    return steps * of_step if isinstance(steps, int) and of_step is not None else None


def _count(run: Path, name: str) -> float | None:
    training = read_mapping(run / COST).get("training")
    value = training.get(name) if isinstance(training, dict) else None
    return float(value) if isinstance(value, int | float) and 0 < value < 1e30 else None
