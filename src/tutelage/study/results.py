"""The finished runs of a study as the rows of results.json."""

from collections.abc import Iterable, Mapping
from math import isfinite, nan
from pathlib import Path
from typing import Any, get_args

from tutelage.files import locked, write_record
from tutelage.layout import FEATURES, SINGLE, TAUGHT_BY, TEACHER, run_folders, run_id
from tutelage.metrics import deltas
from tutelage.study.config import Study
from tutelage.study.store import read_record
from tutelage.types import MetricProtocol

_KEYS = ("method", "task", "seed", "split", "metrics", "parameters", "seconds")  # of result.json
_Run = Mapping[str, Any]
_NOTHING: _Run = {"metrics": {protocol: {} for protocol in get_args(MetricProtocol)}}  # no Delta has a value


def write_results(study: Study, base: str = SINGLE) -> list[dict[str, Any]]:
    """Collect what is finished into results.json and return its rows; one process at a time.

    Args:
        study: whose runs.
        base: what Delta compares with: `single`, or `teacher` where nobody trains single-task networks.

    Runs of earlier calls in the same folder are rows, too (a run refuses to be mixed with others' values); a seed whose
    single-task networks are not all finished has no row yet.
    """
    with locked(study.folder, wait=True):
        rows = _rows(study, base)
        write_record(study.folder / "results.json", {"study": study.name, "rows": rows})
        return rows


def _rows(study: Study, base: str) -> list[dict[str, Any]]:
    runs = {path.relative_to(study.folder).as_posix(): _read(path) for path in run_folders(study.folder, "result.json")}
    taught_by = _teachers(study.folder)
    order = [SINGLE, TEACHER, *(m for m in study.methods if m != SINGLE)]
    order += sorted({run["method"] for run in runs.values()} - set(order))
    rows = []
    for seed in sorted({run["seed"] for run in runs.values()}):
        single = _joined(runs, {t: run_id(SINGLE, seed, t) for t in study.objects.tasks})
        if single is None and base == SINGLE:
            continue
        teachers = (
            _joined(runs, {t: run_id(kind, seed, name) for t, (kind, name) in taught_by.items()}) if taught_by else None
        )
        by_method = {SINGLE: single, TEACHER: teachers} | {
            name: runs.get(run_id(name, seed)) for name in order if name not in (SINGLE, TEACHER)
        }
        for name, run in by_method.items():
            if run is not None:
                rows += [
                    _row(name, seed, protocol, run, by_method[base] or _NOTHING, study)
                    for protocol in get_args(MetricProtocol)
                ]
    rows.sort(key=lambda row: (order.index(row["method"]), row["seed"], row["protocol"]))
    return rows


def _read(folder: Path) -> _Run:
    return read_record(folder / "result.json", *_KEYS)


def _joined(runs: Mapping[str, _Run], of_task: Mapping[str, str]) -> dict[str, Any] | None:
    """Several networks as if they were one run; None where one is not finished.

    Args:
        runs: id -> what result.json holds.
        of_task: task -> id of the run whose metrics count for it.
    """
    parts = {t: runs[run] for t, run in of_task.items() if run in runs}
    if len(parts) < len(of_task):
        return None
    distinct = [runs[run] for run in dict.fromkeys(of_task.values())]
    return {
        "metrics": {p: {t: run["metrics"][p][t] for t, run in parts.items()} for p in get_args(MetricProtocol)},
        "parameters": sum(run["parameters"] for run in distinct),
        "seconds": sum(run["seconds"] for run in distinct),
        "split": distinct[0]["split"],
        "values": _source(distinct),
    }


def _source(runs: Iterable[_Run]) -> str:
    """Where the hyper-parameters of several networks come from, if one word has to say it."""
    return next((x for x in (str(run.get("values", "study")) for run in runs) if x != "study"), "study")


def _teachers(folder: Path) -> dict[str, tuple[str, str]]:
    """Task -> kind and name of its teacher; empty where all are single-task networks or one has no numbers."""
    for path in run_folders(folder, "spec.json"):
        teachers = read_record(path / "spec.json", "teachers")["teachers"]
        # The same in all runs that have any, but those that another method's network teaches.
        teachers = {name: teacher for name, teacher in teachers.items() if teacher["kind"] != TAUGHT_BY}
        if teachers:
            of_task: dict[str, tuple[str, str]] = {}
            for name, teacher in teachers.items():
                for t in teacher["tasks"]:
                    of_task.setdefault(t, (teacher["kind"], name))
            kinds = {kind for kind, _ in of_task.values()}
            return of_task if TEACHER in kinds and FEATURES not in kinds else {}
    return {}


def _row(method: str, seed: int, protocol: str, run: _Run, compared: _Run, study: Study) -> dict[str, Any]:
    values, base = (with_nan(r["metrics"][protocol]) for r in (run, compared))
    return {
        "method": method,
        "seed": seed,
        "split": run["split"],
        "values": run.get("values", "own"),
        "protocol": protocol,
        "metrics": run["metrics"][protocol],
        "delta": {name: x if isfinite(x) else None for name, x in deltas(values, base, study.objects.tasks).items()},
        "parameters": run["parameters"],
        "seconds": round(run["seconds"], 3),
    }


def with_nan(metrics: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    """Metrics as numbers: nan for a value that does not exist, which JSON has as null."""
    return {t: {name: nan if x is None else x for name, x in values.items()} for t, values in metrics.items()}
