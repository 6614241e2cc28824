"""A study of objects that no file names: its plain values describe them, and its runs use the objects themselves."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tutelage.api.teachers import GivenTeacher
from tutelage.data import DataSource
from tutelage.deploy import fingerprint
from tutelage.errors import UserError
from tutelage.layout import FEATURES, TEACHERS
from tutelage.recorded import Recorded, built_by, plain
from tutelage.study import Method, RunSpec, Study, StudyConfig, TeacherConfig
from tutelage.study.config import Builder, build_some, is_slow_in_bf16, resolve_precision
from tutelage.study.config.validate import validate_objects
from tutelage.study.plan import method_run, teacher_run
from tutelage.train import process_count, save_safetensors
from tutelage.types import MultiTaskNet, Task
from tutelage.values import make_draft, taught_by, with_names

_NAME, _OWN = "distill", "distilled"  # of the study, and of the row of a method without a name
MakeNet = Callable[[dict[str, int]], MultiTaskNet]


def given_study(
    teachers: Mapping[str, GivenTeacher],
    student: MultiTaskNet | MakeNet,
    data: DataSource,
    tasks: Mapping[str, Task[Any]],
    method: str | Method | Mapping[str, Any],
    train: Mapping[str, Any],
    seed: int,
    out: Path,
) -> tuple[Study, list[RunSpec]]:
    """The study in which a student learns from given teachers, and its runs: their evaluation, and its training.

    The weights of teachers that predict are written into `out`: a folder whose student learnt from others is refused.

    Raises:
        UserError: a value is wrong, or the method does not distil.
    """
    name = method if isinstance(method, str) else _OWN
    values: dict[str, Any] = {
        "study": _NAME,
        "data": _described(data, "data"),
        "tasks": {t: _described(task, f"tasks.{t}") for t, task in tasks.items()},
        "net": _described(student, "student"),
        "teacher_net": {},
        "teachers": {n: _teacher_values(teacher, out) for n, teacher in teachers.items()},
        "train": dict(train),
        "methods": [name],
        "method": {} if isinstance(method, str) else {name: plain(method, "method")},
        "seeds": [seed],
        "out": str(out),
    }
    methods = {n: keys for n, keys in make_draft(_NAME, values).values["method"].items() if n == name}
    if not methods:  # `single`
        raise UserError(f"method: expected one that distils, such as kd4mtl, found {name}; name another")
    if isinstance(method, str):  # presets name the tasks of NYU-v2
        methods = with_names(methods, tasks, teachers)
    built, objects = build_some({"train": values["train"], "method": methods})
    train_config = objects["train"]
    widths = {t: task.width for t, task in tasks.items()}
    # The run keeps it wherever it is continued.
    precision = resolve_precision(train_config, out, partial(is_slow_in_bf16, lambda: _maker(student)(widths)))
    objects["train"], built["train"]["precision"] = replace(train_config, precision=precision), precision
    values |= built
    if objects["method"][name].distiller is None:
        raise UserError(f"method: expected one that distils, such as kd4mtl, found {name}; give it a `distiller`")
    students, notes = taught_by(objects["method"][name].taught_by), []
    if students and TEACHERS not in students:
        raise UserError(
            f"method: expected one that distils from the teachers, found {name}, which learns from the student of "
            f"{' and of '.join(students)}; train it in a Study"
        )
    if others := [student for student in students if student != TEACHERS]:  # nobody has given them
        notes.append(
            f"method: the given teachers alone teach {name} here, not the student of {' nor of '.join(others)}"
        )
        objects["method"][name] = replace(objects["method"][name], taught_by=None)
        built["method"][name]["taught_by"] = None
    if process_count(objects["train"].devices) > 1:
        raise UserError(
            "train.devices: expected 1, since the objects that distill is given are in this process alone, found more; "
            "train with one, or name teachers and student in a Study"
        )
    configs: dict[str, TeacherConfig | Literal["features"] | Path] = {
        n: _teacher_config(teacher) for n, teacher in teachers.items()
    }
    main = StudyConfig(
        _NAME,
        data,
        dict(tasks),
        _maker(student),
        teachers=configs,
        methods=[name],
        seeds=[seed],
        out=str(out),
        **objects,
    )
    specs = [teacher_run(values, n, seed) for n, teacher in teachers.items() if teacher.predicts]
    build = _Given(main, {spec.config["study"]: str(spec.name) for spec in specs})
    spec = method_run(values, name, seed)
    taught = tuple(teacher for teacher in spec.teachers if teacher.name in teachers)  # nobody has given the others
    needs = tuple(teacher.run for teacher in taught if teacher.run is not None)
    study = Study(values, build, notes)
    validate_objects(study)
    return study, [*specs, replace(spec, teachers=taught, needs=needs)]


class _Given(Builder):
    """Gives the objects themselves in place of building them.

    Args:
        main: of the student's run.
        teachers: name of the config of a run -> the teacher that it evaluates.
    """

    def __init__(self, main: StudyConfig, teachers: Mapping[str, str]) -> None:
        super().__init__()
        self.main, self.teachers = main, teachers

    def __call__(self, values: Mapping[str, Any]) -> StudyConfig:
        """The objects of a run."""
        if values["study"] not in self.teachers:
            return self.main
        teacher = self.main.teachers[self.teachers[values["study"]]]
        assert isinstance(teacher, TeacherConfig)
        assert teacher.net is not None
        methods = list(values["methods"])
        return replace(
            self.main,
            tasks={t: self.main.tasks[t] for t in values["tasks"]},
            net=teacher.net,
            methods=methods,
            method={name: Method() for name in methods},
            teachers={},
        )


def _teacher_values(given: GivenTeacher, out: Path) -> dict[str, Any]:
    teacher, key = given.teacher, f"teachers['{given.teacher.name}']"
    file = FEATURES
    if given.predicts:
        tensors = teacher.network.state_dict()
        path = out / "teachers" / f"{teacher.name}-{fingerprint(tensors)}.safetensors"
        if not path.exists():
            save_safetensors(path, {name: tensor.clone() for name, tensor in tensors.items()})
        file = str(path)
    return {
        "tasks": list(teacher.tasks),
        "net": _described(teacher.network, key),
        "file": file,
        "match": None
        if teacher.match is None
        else {k: _described(x, f"{key}.match.{k}") for k, x in teacher.match.items()},
        "sees": teacher.sees,
        "weight": teacher.weight,
        "size": None if teacher.size is None else list(teacher.size),
    }


def _teacher_config(given: GivenTeacher) -> TeacherConfig:
    teacher = given.teacher
    match = None if teacher.match is None else dict(teacher.match)
    net = teacher.network
    return TeacherConfig(
        list(teacher.tasks), lambda widths: net, None, match, teacher.sees, teacher.weight, teacher.size
    )


def _maker(student: MultiTaskNet | MakeNet) -> MakeNet:
    """What gives every run a student of its own."""
    if not isinstance(student, MultiTaskNet):
        return student
    return lambda widths: copy.deepcopy(student)


def _described(value: Any, key: str) -> Any:
    """The plain values of an object; of one that no file can name, those that tell it from others."""
    try:
        return built_by(value, key) if isinstance(value, Recorded) and value.supplied else plain(value, key)
    except UserError:
        kind = type(value)
        described: dict[str, Any] = {"class_path": f"{kind.__module__}.{kind.__qualname__}"}
        if isinstance(value, MultiTaskNet):
            described["init_args"] = {"tensors": [f"{k}: {list(x.shape)}" for k, x in value.state_dict().items()]}
        return described
