"""The runs of a study: what is trained, what teaches it, and which runs must be finished before."""

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tutelage.study.config import FEATURES, SINGLE, TEACHER

Values = Mapping[str, Any]  # of a study: plain, every default filled in
_EQUAL = "uniform"  # how a teacher of several tasks is trained


@dataclass(frozen=True)
class TeacherSpec:
    """One teacher of a run.

    Attributes:
        name: in the study; by default the task that it teaches.
        tasks: what it teaches; empty: none in particular.
        kind: `single`: the single-task network of the student's architecture; `teacher`: a run of its own; `features`:
            a network that nothing trains.
        run: id of the run that trains or evaluates it; None: there is none, or it is untrained.
        key: where the study names its network, for messages.
    """

    name: str
    tasks: tuple[str, ...]
    kind: str
    run: str | None
    key: str


@dataclass(frozen=True)
class RunSpec:
    """One network to train. It can be pickled: all that another process or machine needs besides the study's folder.

    Attributes:
        id: its folder under that of the study: `single/TASK/seedN`, `teacher/NAME/seedN` or `METHOD/seedN`.
        method: the row of the table that it belongs to.
        seed: of all its random numbers.
        task: of a single-task network; None: it has several.
        name: of a teacher with a run of its own.
        config: plain values: a study of its own, with this method and this seed.
        values: where its hyper-parameters come from (`Method.values`).
        needs: ids of the runs that must be finished before.
        teachers: what it learns from besides labels.
        file: weights trained elsewhere: the network is evaluated, not trained.
        key: where the study names its network, for messages.
    """

    id: str
    method: str
    seed: int
    task: str | None
    name: str | None
    config: Values
    values: str = "study"
    needs: tuple[str, ...] = ()
    teachers: tuple[TeacherSpec, ...] = ()
    file: str | None = None
    key: str = "net"

    @property
    def tasks(self) -> list[str]:
        """The names of its tasks."""
        return list(self.config["tasks"])

    @property
    def label(self) -> str:
        """What the run is called wherever a person reads it."""
        what = self.task or self.name
        return f"{self.method}{f' {what}' if what else ''}, seed {self.seed}"

    @property
    def role(self) -> str:
        """What its initial weights are drawn for: networks of different roles begin differently."""
        if self.name is not None and self.name != self.task:
            return f"teacher {self.name}"
        return self.task or "student"

    def record(self) -> dict[str, Any]:
        """What spec.json has of it: everything but the config, which lies beside it."""
        teachers = {t.name: {"tasks": list(t.tasks), "kind": t.kind, "run": t.run} for t in self.teachers}
        facts = {key: value for key, value in asdict(self).items() if key not in ("config", "teachers", "key")}
        return {
            "format": 1,
            **facts,
            "needs": list(self.needs),
            "tasks": self.tasks,
            "teachers": teachers,
        }


def plan(values: Values) -> list[RunSpec]:
    """All runs in order: for every seed the single-task networks, the teachers with runs of their own, every method."""
    specs = []
    for seed in values["seeds"]:
        specs += [single_run(values, t, seed) for t in values["tasks"]]
        methods = [method_run(values, name, seed) for name in values["methods"] if name != SINGLE]
        needed = {need for spec in methods for need in spec.needs}
        own = [teacher_run(values, name, seed) for name, t in teacher_values(values).items() if t["kind"] == TEACHER]
        specs += [spec for spec in own if spec.id in needed]
        specs += methods
    return specs


def teacher_values(values: Values) -> dict[str, dict[str, Any]]:
    """Every teacher of a study by name, complete: {tasks, kind, net, key, file, match, sees, weight}.

    A task that no named teacher teaches has the default one of its name. `net` is None where it is the study's.
    """
    nets, tasks = values.get("teacher_net") or {}, list(values["tasks"])
    named: dict[str, dict[str, Any]] = {}
    for name, keys in (values.get("teachers") or {}).items():
        keys = dict(keys) if isinstance(keys, Mapping) else {"file": keys}
        named[name] = {**keys, "tasks": [name] if keys.get("tasks") is None else keys["tasks"]}
    taught = {t for teacher in named.values() for t in teacher["tasks"]}
    default = [t for t in tasks if t in named or t not in taught]
    complete: dict[str, dict[str, Any]] = {}
    for name in [*default, *(name for name in named if name not in default)]:
        keys = named.get(name, {"tasks": [name]})
        own = keys.get("net")
        net = own or nets.get(name)
        file = keys.get("file")
        if file == FEATURES or not keys["tasks"]:
            kind = FEATURES
        else:
            kind = SINGLE if net is None and keys["tasks"] == [name] else TEACHER
        complete[name] = {
            "tasks": list(keys["tasks"]),
            "kind": kind,
            "net": net,
            "key": f"teachers.{name}.net" if own else f"teacher_net.{name}" if net else "net",
            "file": None if file in (None, FEATURES) else str(file),
            "match": keys.get("match"),
            "sees": keys.get("sees"),
            "weight": keys.get("weight", 1.0),
        }
    return complete


def single_run(values: Values, task: str, seed: int) -> RunSpec:
    """The single-task network of a task."""
    teacher = teacher_values(values).get(task)
    file = teacher["file"] if teacher is not None and teacher["kind"] == SINGLE else None
    config = _alone(values, SINGLE, [task], seed, file, task)
    return RunSpec(f"{SINGLE}/{task}/seed{seed}", SINGLE, seed, task, None, config, _source(values, SINGLE), file=file)


def teacher_run(values: Values, name: str, seed: int) -> RunSpec:
    """The run of a teacher that is not one of the single-task networks."""
    teacher = teacher_values(values)[name]
    tasks, file = teacher["tasks"], teacher["file"]
    config = _alone(values, TEACHER, tasks, seed, file, name)
    if teacher["net"] is not None:
        config["net"] = copy.deepcopy(teacher["net"])
    alone = tasks[0] if len(tasks) == 1 else None
    run = f"{TEACHER}/{name}/seed{seed}"
    return RunSpec(run, TEACHER, seed, alone, name, config, _source(values, TEACHER), file=file, key=teacher["key"])


def method_run(values: Values, method: str, seed: int) -> RunSpec:
    """The run of a method on all tasks."""
    definition = values["method"][method]
    config = _config(values, [method], seed, method)
    distils = bool(definition.get("distiller"))
    rate = values["method"].get(TEACHER, {}).get("lr") if distils else None
    config["method"] = {method: copy.deepcopy(definition), **({TEACHER: {"lr": rate}} if rate else {})}
    if not depends_on_teachers(definition):
        config |= {"teacher_net": {}, "teachers": {}}
    teachers = []
    for name, teacher in teacher_values(values).items() if distils else ():
        trained = teacher["kind"] != FEATURES and definition.get("teachers") != "random"
        run = f"{teacher['kind']}/{name}/seed{seed}" if trained else None
        teachers.append(TeacherSpec(name, tuple(teacher["tasks"]), teacher["kind"], run, teacher["key"]))
    needs = tuple(t.run for t in teachers if t.run is not None)
    source = str(definition.get("values", "own"))
    return RunSpec(f"{method}/seed{seed}", method, seed, None, None, config, source, needs, tuple(teachers))


def depends_on_teachers(definition: Values) -> bool:
    """Whether anything of a method follows from the teachers: all such methods of a table have the same ones."""
    return bool(definition.get("distiller")) or definition.get("budget") == "with_teachers"


def _source(values: Values, kind: str) -> str:
    return str(values["method"].get(kind, {}).get("values", "study"))


def _config(values: Values, methods: list[str], seed: int, *names: str) -> dict[str, Any]:
    name = "-".join((values["study"], *names, f"seed{seed}"))
    return copy.deepcopy({**values, "study": name, "methods": methods, "seeds": [seed], "out": None})


def _alone(values: Values, kind: str, tasks: list[str], seed: int, file: str | None, name: str) -> dict[str, Any]:
    """The config of a network that learns from labels alone."""
    rate = values["method"].get(kind, {}).get("lr")
    single = len(tasks) == 1
    config = _config(values, [SINGLE if single else _EQUAL], seed, kind, name)
    method = {SINGLE if single else _EQUAL: {"lr": rate}} if rate or not single else {}
    return config | {
        "method": method,
        "tasks": {t: task for t, task in config["tasks"].items() if t in tasks},
        "teachers": {tasks[0]: file} if file and single else {},
        "teacher_net": {},
    }
