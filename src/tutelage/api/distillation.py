"""One student learns from teachers that are there already: objects, which no study file names."""

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from tutelage.api.given import given_study
from tutelage.api.keys import with_keys
from tutelage.api.results import Results
from tutelage.api.teachers import AnyTeacher, as_teachers
from tutelage.api.watching import watching
from tutelage.api.wrong_objects import check_objects
from tutelage.data import DataSource
from tutelage.errors import writing_to
from tutelage.files import expand_home
from tutelage.study import Method, check_data, run_study
from tutelage.study.config.validate import check_out
from tutelage.study.teachers import load_tensors
from tutelage.train import TrainConfig, check_alone
from tutelage.types import MultiTaskNet, Task


class Distilled(Results):
    """The results of `distill`.

    Args:
        folder: of the study.
        tasks: name -> task.
        student: as it was trained, in eval mode.
    """

    def __init__(self, folder: Path, tasks: Mapping[str, Task[Any]], student: MultiTaskNet) -> None:
        super().__init__(folder, tasks)
        self.student = student


def distill(
    teachers: Mapping[str, AnyTeacher],
    student: MultiTaskNet | Callable[[dict[str, int]], MultiTaskNet],
    data: DataSource,
    tasks: Mapping[str, Task[Any]],
    *,
    method: str | Method | Mapping[str, Any] = "kd4mtl",
    seed: int = 0,
    out: str | PathLike[str] = "runs/distill",
    check: Literal["auto", "full", "sample", "none"] = "auto",
    quiet: bool = False,
    train: TrainConfig | Mapping[str, Any] | None = None,
    **settings: Any,
) -> Distilled:
    """Train a student on labels and on the features of teachers that are trained already, and compare it with them.

    Everything is as in a study, but for the networks, which are objects of this process: the step, checkpoints, the
    teachers' cache, the evaluation on `test`, and the files in `out`. The same call continues a training that was
    stopped. A student that is an object begins with its own weights and is not changed: `results.student` is the
    trained one.

    Args:
        teachers: by name: networks with taps (of `tutelage.nets`, or any module in a `TappedModule`), predictors of
            `tutelage.load` or the files that it reads, or `tutelage.distill.Teacher` for more. A network under the name
            of a task teaches that task; under another name it teaches all tasks that it predicts, or none in
            particular. All are frozen.
        student: a network with taps and a head for each task, or what builds one of {task: channels}.
        data: where images and labels come from; a teacher needs no label.
        tasks: name -> task; the names are those of the labels.
        method: a preset that distils (`tutelage presets`), a `Method`, or the keys of one.
        seed: of all random numbers but the student's own weights.
        out: the folder for all results.
        check: which samples are decoded before training (docs/data.md).
        quiet: print nothing.
        train: how the student is trained.
        settings: keys of `train` without that prefix: `epochs=20`, `batch_size=8`, `callbacks=[...]`; and `lr`, the
            learning rate.

    Returns:
        A table of the teachers, where together they predict every task, and of the student; Delta is over the teachers.
        Calls with other methods and seeds and the same `out` add rows.

    Raises:
        UserError: something does not fit; found before anything is trained, as far as possible.
    """
    check_alone()
    check_objects(student, data, tasks, teachers)
    folder = expand_home(out)
    check_out(folder)
    given = as_teachers(teachers, tasks, data)
    trained = with_keys({"train": {}}, {"train": train or {}, **settings}, known=["train"])["train"]
    study, specs = given_study(given, student, data, tasks, method, trained, seed, folder)
    with watching(quiet) as (console, display), writing_to(study.folder):
        for note in study.notes:
            display.note(note)
        data.check(tasks)
        check_data(study, console, level=check)
        run_study(study, display, specs=specs)
    trained_student = study.build(specs[-1].config).net({t: task.width for t, task in tasks.items()})
    trained_student.load_state_dict(load_tensors(study.folder / specs[-1].id / "student.safetensors"))
    return Distilled(study.folder, tasks, trained_student.eval())
