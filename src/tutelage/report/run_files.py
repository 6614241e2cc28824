"""The files of one run. A damaged or missing file reads as empty, so that it hides nothing but itself."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tutelage.layout import FEATURES, SINGLE, TEACHER
from tutelage.reading import LOG, RECORD, read_limited
from tutelage.values import parse

Kind = Literal["single", "teacher", "features", "student", "file"]
Log = list[dict[str, float]]

_LARGEST = 1e300  # plots compute with what is drawn
_RUN = re.compile(r"(\w[\w-]*/){1,2}seed\d+")  # the folder of a run, below that of its study


@dataclass(frozen=True)
class Teacher:
    """A teacher of a run.

    Attributes:
        name: by default that of its task.
        tasks: what it teaches; empty for a network of features alone.
        kind: a single-task network, a network with an architecture of its own, features alone, the student of another
            method, or a file.
        runs: the folder of the runs that train it, one per seed: `teacher/NAME`; None where no run does.
    """

    name: str
    tasks: tuple[str, ...]
    kind: Kind
    runs: str | None


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a JSON or YAML file (by its suffix); empty where there is none or it cannot be read."""
    try:
        values = parse(read_limited(path, RECORD).decode(), path.suffix)
    except (OSError, ValueError):  # bytes that are not UTF-8 are a ValueError, too, and so is a pipe
        return {}
    return values if isinstance(values, dict) else {}


def read_log(path: Path) -> Log:
    """The lines of a log that can be read, each with its epoch; a line that a kill cut off is skipped alone."""
    try:
        lines = read_limited(path, LOG).splitlines()
    except (OSError, ValueError):  # a pipe, or what has no end, is a ValueError
        return []
    return [line for line in map(_line, lines) if "epoch" in line]


def _line(text: bytes) -> dict[str, float]:
    try:
        values = parse(text, ".jsonl")
    except ValueError:
        return {}
    if not isinstance(values, dict):
        return {}
    numbers = {k: x for k, x in values.items() if isinstance(x, int | float) and not isinstance(x, bool)}
    return {k: x for k, x in numbers.items() if not abs(x) > _LARGEST}


def keys(log: Log, prefix: str) -> list[str]:
    """The names of the quantities in a log that begin with `prefix`, sorted."""
    return sorted({key for line in log for key in line if key.startswith(prefix)})


def read_teachers(run: Path, method: str) -> dict[str, Teacher]:
    """The teachers of a run by name, from spec.json; earlier versions wrote none, there config.yaml tells."""
    spec = read_mapping(run / "spec.json")
    if not isinstance(spec.get("teachers"), dict):
        return _teachers_of_config(read_mapping(run / "config.yaml"), method)
    return {str(name): _teacher(str(name), values) for name, values in spec["teachers"].items()}


def read_needs(run: Path) -> list[str]:
    """The runs, below the folder of the study, that a run needed, from spec.json."""
    needs = read_mapping(run / "spec.json").get("needs")
    return [need for need in needs if isinstance(need, str) and _RUN.fullmatch(need)] if isinstance(needs, list) else []


def _teacher(name: str, values: Any) -> Teacher:
    """One entry of spec.json; what is missing or of another type reads as unknown."""
    values = values if isinstance(values, dict) else {}
    tasks, kind, run = values.get("tasks"), values.get("kind"), values.get("run")
    return Teacher(
        name,
        tuple(map(str, tasks)) if isinstance(tasks, list) else (),
        kind if kind in get_args(Kind) else "file",
        run.rpartition("/")[0] if isinstance(run, str) and _RUN.fullmatch(run) else None,
    )


def _teachers_of_config(config: dict[str, Any], method: str) -> dict[str, Teacher]:
    """What spec.json would say: one teacher per task, named after it, where the method has a distiller."""
    methods, tasks, nets, files = (_mapping(config, key) for key in ("method", "tasks", "teacher_net", "teachers"))
    if not _mapping(methods, method).get("distiller"):
        return {}
    return {t: _default_teacher(t, own=t in nets, features=files.get(t) == FEATURES) for t in tasks}


def _default_teacher(task: str, own: bool, features: bool) -> Teacher:
    if own and features:
        return Teacher(task, (task,), FEATURES, None)
    kind: Kind = TEACHER if own else SINGLE
    return Teacher(task, (task,), kind, f"{kind}/{task}")


def single_teacher(task: str) -> Teacher:
    """The single-task network of a task, which teaches it unless the study names another teacher."""
    return _default_teacher(task, own=False, features=False)


def _mapping(values: dict[str, Any], key: str) -> dict[str, Any]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}
