"""Whether distillation works as it should: teachers, distances, adaptors."""

from collections.abc import Iterable
from html import escape

from tutelage.report.results import FEATURES, SINGLE, TEACHER, Results, metric
from tutelage.report.training import Log, read_log

_TEXT = (
    "Distance: between the student's adapted feature and the teacher's at the first and the last line of the log, "
    "without lambda; 0: they agree; of kd4mtl and url, 2: they have nothing in common; of predictions, the task's "
    "loss against the teacher's. Dead: the part of the teacher's positions that are zero in all channels, where a "
    "distance means nothing. Norm and effective rank (of equal singular values their number, of one direction alone 1) "
    "are the adaptor's, after the last epoch."
)


def health(found: Results) -> str:
    """A table of the first seed's distilled networks by task and tap; nothing where nothing was distilled."""
    lines = [line for m in found.multi for line in _method(found, m)]
    if not lines:
        return ""
    heads = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("task", "tap", "distance<br>first", "distance<br>last", "dead", "norm", "rank")
    )
    return (
        f'<h3>Health of distillation</h3>\n<p class="soft">{_TEXT}</p>\n{_teachers(found)}'
        '<div class="wide"><table class="numbers plain">\n'
        f'<thead><tr><th scope="col">method</th>{heads}</tr></thead>\n<tbody>\n{"".join(lines)}</tbody></table></div>\n'
    )


def _teachers(found: Results) -> str:
    texts: list[str] = []
    for t, task in found.tasks.items():
        kind = found.teachers[t]
        # Beside a teacher without predictions there is no row of teachers: the others' numbers are not known here.
        rows = found.of(SINGLE if kind == SINGLE else TEACHER, found.protocol)
        name, what = task.main, task.metric_info[task.main].unit
        said = f"{name} {metric(rows, t, name).text(what)} {what}".strip() if rows else "of another kind"
        texts.append(f"{t} {'features alone' if kind == FEATURES else said}")
    return f"<p>The teachers by themselves: {escape('; '.join(texts))}.</p>\n"


def _method(found: Results, method: str) -> Iterable[str]:
    log = read_log(found.run(method, next(iter(found.tasks))) / "log.jsonl")
    names = sorted({key for line in log for key in line if key.startswith("distance/")})
    for name in names:
        task, _, tap = name.removeprefix("distance/").partition("/")
        distances = [line[name] for line in log if name in line]
        cells = [f"{distances[0]:.3f}", f"{distances[-1]:.3f}"]
        for quantity, digits in (("dead", 3), ("norm", 2), ("rank", 1)):
            value = _last(log, f"{quantity}/{task}/{tap}")
            cells.append("-" if value is None else f"{value:.{digits}f}")
        named = f'<td class="left">{escape(task)}</td><td class="left">{escape(tap)}</td>'
        numbers = "".join(f"<td>{cell}</td>" for cell in cells)
        yield f'<tr><th scope="row">{escape(method)}</th>{named}{numbers}</tr>\n'


def _last(log: Log, name: str) -> float | None:
    return next((line[name] for line in reversed(log) if name in line), None)
