"""The config of one run, as a study of its own: what it was made with, and nothing that cannot change it."""

import copy
from collections.abc import Mapping
from typing import Any

from tutelage.study.config import SINGLE, TEACHER
from tutelage.study.jobs import Job
from tutelage.study.load import Study
from tutelage.study.store import read_record


def run_values(study: Study, job: Job) -> dict[str, Any]:
    """The config of one run: a study of its own, with this method and this seed, in a folder of its own."""
    name = "-".join(filter(None, (study.config.study, job.method, job.task, f"seed{job.seed}")))
    changes = {"study": name, "methods": [SINGLE if job.task else job.method], "seeds": [job.seed], "out": None}
    values = copy.deepcopy({**study.values, **changes})
    return _alone(study, job, values) if job.task else _taught(study, job, values)


def _alone(study: Study, job: Job, values: dict[str, Any]) -> dict[str, Any]:
    rate = values["method"].get(job.method, {}).get("lr")
    method = {SINGLE: {"lr": rate}} if rate else {}
    given = job.given(study)
    values |= {
        "method": method,
        "tasks": {t: task for t, task in values["tasks"].items() if t == job.task},
        "teachers": {job.task: str(given)} if given else {},
    }
    if job.method == TEACHER:  # in a study of its own it is the single-task network
        net = values["teacher_net"].get(job.task)
        made = read_record(job.folder / "config.yaml", "net") if net is None else {}
        values |= {"net": net} if net else {key: made.get(key, {}) for key in ("net", "method", "teachers")}
    return values | {"teacher_net": {}}


def _taught(study: Study, job: Job, values: dict[str, Any]) -> dict[str, Any]:
    earlier: dict[str, Any] = {}
    if job.method not in study.config.method:  # what it was made with is not for this study to say
        earlier = read_record(job.folder / "config.yaml", "method")
    methods = values["method"] | earlier.get("method", {})
    mine = methods[job.method]
    rate = methods.get(TEACHER, {}).get("lr") if mine.get("distiller") else None
    values["method"] = {job.method: mine, **({TEACHER: {"lr": rate}} if rate else {})}
    if not _depends(mine):
        return values | {"teacher_net": {}, "teachers": {}}
    if earlier and not any(map(_depends, study.values["method"].values())):
        values |= {key: earlier.get(key, {}) for key in ("teacher_net", "teachers")}
    return values


def _depends(method: Mapping[str, Any]) -> bool:
    """Whether anything of a method follows from the teachers: all that do have the same ones in a table."""
    return bool(method.get("distiller")) or method.get("budget") == "with_teachers"
