"""The runs of a study: what is trained, what teaches it, and which runs must be finished before."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tutelage.layout import FEATURES, SINGLE, TAUGHT_BY, TEACHER, TEACHERS, run_id
from tutelage.study.config import TeacherSpec, taught_by, teacher_specs

Values = Mapping[str, Any]  # of a study: plain, every default filled in
_EQUAL = "uniform"  # how a teacher of several tasks is trained


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
        what = self.name or self.task
        return f"{self.method}{f' {what}' if what else ''}, seed {self.seed}"

    @property
    def role(self) -> str:
        """What its initial weights are drawn for: networks of different roles begin differently."""
        if self.name is not None and self.name != self.task:
            return f"teacher {self.name}"
        return self.task or "student"

    def record(self) -> dict[str, Any]:
        """What spec.json has of it; the config lies beside it."""
        return {
            "format": 1,
            "id": self.id,
            "method": self.method,
            "task": self.task,
            "seed": self.seed,
            "tasks": self.tasks,
            "values": self.values,
            "needs": list(self.needs),
            "teachers": {t.name: {"tasks": list(t.tasks), "kind": t.kind, "run": t.run} for t in self.teachers},
            "file": self.file,
        }


def plan(values: Values) -> list[RunSpec]:
    """All runs in order: for every seed the single-task networks, the teachers with runs of their own, every method."""
    specs = []
    for seed in values["seeds"]:
        specs += [single_run(values, t, seed) for t in values["tasks"]]
        methods = [method_run(values, name, seed) for name in values["methods"] if name != SINGLE]
        needed = {need for spec in methods for need in spec.needs}
        own = [teacher_run(values, name, seed) for name, t in teacher_specs(values).items() if t.kind == TEACHER]
        specs += [spec for spec in own if spec.id in needed]
        specs += methods
    return specs


def kinds(specs: Iterable[RunSpec]) -> list[RunSpec]:
    """One run of each kind, whatever its seed: what can be built of one can be built of the others."""
    return list({(spec.method, spec.task, spec.name): spec for spec in reversed(list(specs))}.values())[::-1]


def single_run(values: Values, task: str, seed: int) -> RunSpec:
    """The single-task network of a task."""
    teacher = teacher_specs(values).get(task)
    file = teacher.file if teacher is not None and teacher.kind == SINGLE else None
    config = _config_on_labels(values, SINGLE, task, (task,), seed, file)
    return RunSpec(run_id(SINGLE, seed, task), SINGLE, seed, task, None, config, _source(values, SINGLE), file=file)


def teacher_run(values: Values, name: str, seed: int) -> RunSpec:
    """The run of a teacher that is not one of the single-task networks."""
    teacher = teacher_specs(values)[name]
    config = _config_on_labels(values, TEACHER, name, teacher.tasks, seed, teacher.file)
    if teacher.net is not None:
        config["net"] = copy.deepcopy(teacher.net)
    task = teacher.tasks[0] if len(teacher.tasks) == 1 else None
    source, run = _source(values, TEACHER), run_id(TEACHER, seed, name)
    return RunSpec(run, TEACHER, seed, task, name, config, source, file=teacher.file, key=teacher.key)


def method_run(values: Values, method: str, seed: int) -> RunSpec:
    """The run of a method on all tasks."""
    definition = values["method"][method]
    config = _config(values, [method], seed, method)
    distils = bool(definition.get("distiller"))
    of_others = {TEACHER: training_of(values["method"], TEACHER)} if distils else {}
    if definition.get("budget") == "with_teachers":  # it depends on their epochs, not on their rates
        of_others |= {kind: training_of(values["method"], kind, "budget") for kind in (SINGLE, TEACHER)}
    config["method"] = {method: copy.deepcopy(definition)} | {kind: keys for kind, keys in of_others.items() if keys}
    if not depends_on_teachers(definition):
        config |= {"teacher_net": {}, "teachers": {}}
    students = taught_by(definition.get("taught_by")) if distils else []
    teachers: list[TeacherSpec] = []
    for teacher in teacher_specs(values).values() if distils and (not students or TEACHERS in students) else ():
        trained = teacher.kind != FEATURES and definition.get("teachers") != "random"
        teachers.append(replace(teacher, run=run_id(teacher.kind, seed, teacher.name) if trained else None))
    teachers += [
        TeacherSpec(name, tuple(values["tasks"]), TAUGHT_BY, run=run_id(name, seed))
        for name in students
        if name != TEACHERS
    ]
    needs = tuple(t.run for t in teachers if t.run is not None)
    source = str(definition.get("values", "own"))
    return RunSpec(run_id(method, seed), method, seed, None, None, config, source, needs, tuple(teachers))


def training_of(methods: Values, kind: str, *keys: str) -> dict[str, Any]:
    """What a study sets of the training of its single-task networks or teachers.

    Args:
        methods: the definitions of a study or a run.
        kind: `single`, `teacher`, or the name under which the run of a teacher has it.
        keys: `lr`, `budget`; both where none is named.
    """
    definition = methods.get(kind, {})
    return {key: definition[key] for key in keys or ("lr", "budget") if definition.get(key) not in (None, "student")}


def depends_on_teachers(definition: Values) -> bool:
    """Whether a method depends on the study's teachers: all such methods of a table have the same ones."""
    students = taught_by(definition.get("taught_by"))
    if students and TEACHERS not in students:
        return False
    return bool(definition.get("distiller")) or definition.get("budget") == "with_teachers"


def _source(values: Values, kind: str) -> str:
    return str(values["method"].get(kind, {}).get("values", "study"))


def _config(values: Values, methods: list[str], seed: int, *names: str) -> dict[str, Any]:
    name = "-".join((values["study"], *names, f"seed{seed}"))
    return copy.deepcopy({**values, "study": name, "methods": methods, "seeds": [seed], "out": None})


def _config_on_labels(
    values: Values, kind: str, name: str, tasks: tuple[str, ...], seed: int, file: str | None
) -> dict[str, Any]:
    """The config of a network that learns from labels alone: one task, or several with equal weights."""
    single, training = len(tasks) == 1, training_of(values["method"], kind)
    method = SINGLE if single else _EQUAL
    config = _config(values, [method], seed, kind, name)
    given: dict[str, Any] = {}
    if file is not None:
        given = {tasks[0]: file} if single else {name: {"tasks": list(tasks), "file": file}}
    return config | {
        "method": {method: training} if training or not single else {},
        "tasks": {t: task for t, task in config["tasks"].items() if t in tasks},
        "teachers": given,
        "teacher_net": {},
    }
