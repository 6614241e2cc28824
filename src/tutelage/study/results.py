"""The finished runs of a study as the rows of results.json."""

import json
from collections.abc import Collection, Iterable, Mapping
from math import isfinite
from typing import Any

from tutelage.files import write_text
from tutelage.metrics import deltas
from tutelage.study.config import FEATURES, SINGLE, TEACHER
from tutelage.study.load import Study
from tutelage.study.store import locked, read_record, run_folders

_PROTOCOLS = ("dataset", "image")
_KEYS = ("method", "task", "seed", "split", "metrics", "parameters", "seconds")  # of result.json


def write_results(study: Study) -> list[dict[str, Any]]:
    """Collect what is finished into results.json and return its rows; one process at a time.

    Runs of earlier calls in the same folder are in it, too (a run refuses to be mixed with others' values); a seed
    whose single-task networks are not all finished has no row yet.
    """
    with locked(study.folder, wait=True):
        return _write_results(study)


def _write_results(study: Study) -> list[dict[str, Any]]:
    runs = _finished(study)
    tasks = study.config.tasks
    taught = _teachers(study) if any(run["method"] == TEACHER for run in runs) else set()  # it reads many files
    order = [SINGLE, TEACHER, *(m for m in study.config.methods if m != SINGLE)]
    order += sorted({run["method"] for run in runs} - set(order))
    rows = []
    for seed in sorted({run["seed"] for run in runs}):
        of_seed = [run for run in runs if run["seed"] == seed]
        parts = {run["task"]: run for run in of_seed if run["method"] == SINGLE}
        if set(parts) != set(tasks):
            continue
        single = _together(parts, tasks)
        methods = {run["method"]: run for run in of_seed if run["task"] is None}
        teachers = {run["task"]: run for run in of_seed if run["method"] == TEACHER}
        if taught and taught <= set(teachers):
            methods[TEACHER] = {**_together({**parts, **teachers}, tasks), "values": _values(teachers.values())}
        for name, run in ((name, {SINGLE: single, **methods}.get(name)) for name in order):
            if run is not None:
                rows += [_row(name, seed, protocol, run, single, study) for protocol in _PROTOCOLS]
    rows.sort(key=lambda row: (order.index(row["method"]), row["seed"], row["protocol"]))
    text = json.dumps({"study": study.config.study, "rows": rows}, indent=2, allow_nan=False)
    write_text(study.folder / "results.json", text + "\n")
    return rows


def _together(parts: Mapping[str, Mapping[str, Any]], tasks: Collection[str]) -> dict[str, Any]:
    """Networks of one task each, as if they were one run."""
    first = next(iter(parts.values()))
    return {
        "metrics": {p: {t: parts[t]["metrics"][p][t] for t in tasks} for p in _PROTOCOLS},
        "parameters": sum(run["parameters"] for run in parts.values()),
        "seconds": sum(run["seconds"] for run in parts.values()),
        "split": first["split"],
        "values": _values(parts.values()),
    }


def _values(runs: Iterable[Mapping[str, Any]]) -> str:
    """Where the hyper-parameters of several networks come from, if one word has to say it."""
    return next((x for x in (str(run.get("values", "study")) for run in runs) if x != "study"), "study")


def _teachers(study: Study) -> set[str]:
    """The tasks with a teacher of another kind in the runs that learn from teachers; none where one has no numbers."""
    for path in run_folders(study.folder, "config.yaml"):
        made = read_record(path / "config.yaml")
        if nets := made.get("teacher_net"):  # the same in all of them
            return set() if FEATURES in (made.get("teachers") or {}).values() else set(nets)
    return set()


def _row(
    method: str, seed: int, protocol: str, run: Mapping[str, Any], single: Mapping[str, Any], study: Study
) -> dict[str, Any]:
    values, base = run["metrics"][protocol], single["metrics"][protocol]
    return {
        "method": method,
        "seed": seed,
        "split": run["split"],
        "values": run.get("values", "own"),
        "protocol": protocol,
        "metrics": {t: _nullable(of_task) for t, of_task in values.items()},
        "delta": _nullable(deltas(values, base, study.config.tasks)),
        "parameters": run["parameters"],
        "seconds": round(run["seconds"], 3),
    }


def _nullable(values: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no nan: a value that does not exist is null."""
    return {name: value if isfinite(value) else None for name, value in values.items()}


def _finished(study: Study) -> list[dict[str, Any]]:
    return [read_record(f / "result.json", *_KEYS) for f in run_folders(study.folder, "result.json")]
