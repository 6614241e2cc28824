"""The page's section on whether distillation works: teachers, distances, adaptors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tutelage.report.results import Results
from tutelage.report.run_files import Log, Teacher, keys, read_mapping
from tutelage.report.statistics import summarise
from tutelage.report.tables import Column, Line, TableModel, text_cell

_COLUMNS = (
    *(Column("words", name) for name in ("teacher", "tap")),
    *(Column("number", f"{name}\n{end}") for name in ("distance", "CKA") for end in ("first", "last")),
    *(Column("number", name) for name in ("dead", "norm", "rank")),
)
_DIGITS = {"dead": 3, "norm": 2, "rank": 1}


@dataclass(frozen=True)
class Health:
    """The teachers' own metrics, and a line for each method, teacher and tap."""

    teachers: Sequence[str]
    table: TableModel


def health(results: Results) -> Health | None:
    """The first seed's distilled networks; None where nothing was distilled."""
    if not results.seeds:
        return None
    logs = results.multi_task_logs.items()
    lines = tuple(line for m, log in logs for line in _lines(m, log, results.teacher_names))
    if not lines:
        return None
    return Health([_teacher(results, teacher) for teacher in results.teachers.values()], TableModel(_COLUMNS, lines))


def _teacher(results: Results, teacher: Teacher) -> str:
    """`depth abs_err 0.6000 m`; of a teacher with a name of its own `dino: depth abs_err 0.6000 m, ...`."""
    if teacher.kind == "features":
        return f"{teacher.name} features alone"
    metrics = ", ".join(f"{t} {_metric(results, teacher, t)}" for t in teacher.tasks if t in results.tasks)
    if teacher.tasks == (teacher.name,):
        return metrics
    return f"{teacher.name}: {metrics or 'without a task'}"


def _metric(results: Results, teacher: Teacher, task: str) -> str:
    """The main metric of a task over the seeds of the teacher's own runs."""
    if teacher.runs is None:
        return "unknown"
    name = results.tasks[task].main
    unit = results.tasks[task].metric_info[name].unit
    values: list[float | None] = []
    for seed in results.seeds:
        result = read_mapping(results.folder / teacher.runs / f"seed{seed}" / "result.json")
        try:
            value = result["metrics"][results.protocol][task][name]
        except (KeyError, TypeError):
            continue
        values.append(value if isinstance(value, int | float) else None)
    return f"{name} {summarise(values).text(unit)} {unit}".strip() if values else "unknown"


def _lines(method: str, log: Log, teachers: Sequence[str]) -> Iterable[Line]:
    for name in keys(log, "distance/"):
        pair = name.removeprefix("distance/")
        teacher = max((t for t in teachers if pair.startswith(f"{t}/")), key=len)
        cells = [teacher, pair.removeprefix(f"{teacher}/"), *_ends(log, name), *_ends(log, f"cka/{pair}")]
        cells += [_last(log, f"{quantity}/{pair}", digits) for quantity, digits in _DIGITS.items()]
        yield Line(method, "", tuple(map(text_cell, cells)))


def _ends(log: Log, name: str) -> tuple[str, str]:
    """The first and the last value of a quantity."""
    values = [f"{line[name]:.3f}" for line in log if name in line] or ["-"]
    return values[0], values[-1]


def _last(log: Log, name: str, digits: int) -> str:
    """The last values of a quantity; an adaptor of several matrices logs one for each: `name/...` or `name[...]`."""
    names = dict.fromkeys(
        key for line in log for key in line if key == name or key.startswith((f"{name}/", f"{name}["))
    )
    values = (next(line[key] for line in reversed(log) if key in line) for key in names)
    return ", ".join(f"{value:.{digits}f}" for value in values) or "-"
