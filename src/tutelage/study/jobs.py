"""The runs that a study consists of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage.balance import Uniform
from tutelage.study.config import FEATURES, SINGLE, TEACHER, Method
from tutelage.study.load import Study
from tutelage.study.operations import operations
from tutelage.train import TrainConfig
from tutelage.types import MultiTaskNet, Task


@dataclass(frozen=True)
class Job:
    """One network to train: task `task` alone, or all tasks by `method`."""

    method: str
    seed: int
    folder: Path
    task: str | None = None

    @property
    def name(self) -> str:
        """How the run is called wherever a person reads it."""
        return f"{self.method}{f' {self.task}' if self.task else ''}, seed {self.seed}"

    @property
    def finished(self) -> bool:
        """Whether its result is there."""
        return (self.folder / "result.json").exists()

    def tasks(self, study: Study) -> dict[str, Task]:
        """The tasks of the run."""
        return {t: task for t, task in study.config.tasks.items() if self.task in (None, t)}

    def taught(self, study: Study) -> Method:
        """How the run is taught; a single-task network learns its loss and nothing else."""
        if self.task is not None:
            alone = study.config.method.get(self.method, Method(values="study"))
            return replace(alone, balancer=Uniform, distiller=None)
        return study.config.method[self.method]

    def training(self, study: Study) -> TrainConfig:
        """The study's training, over the epochs of the method's budget."""
        train = study.config.train
        if self.taught(study).budget == "student":
            return train
        factor = self.stretch(study)
        steps = None if train.max_steps is None else max(1, round(train.max_steps * factor))
        return replace(train, epochs=max(1, round(train.epochs * factor)), max_steps=steps)

    def stretch(self, study: Study) -> float:
        """How many times the study's epochs the run has: 1, the method's factor, or with the teachers' compute."""
        budget = self.taught(study).budget
        if isinstance(budget, float):
            return budget
        if budget == "student":
            return 1.0
        tasks = study.config.tasks
        if not study.config.teacher_net:
            return 1 + 4 * len(tasks) / 3
        cost = 0.0  # of training a teacher three forwards, and one of running it
        for t, task in tasks.items():
            alone = features(study, t)
            one = operations(study, teacher_net(study, t), {} if alone else {t: task.width})
            cost += one if alone else 4 * one
        return 1 + cost / (3 * operations(study, study.config.net))

    def net(self, study: Study) -> Callable[[dict[str, int]], MultiTaskNet]:
        """What makes the network."""
        return teacher_net(study, self.task) if self.method == TEACHER and self.task else study.config.net

    def given(self, study: Study) -> Path | None:
        """The file of the network, where it is trained already."""
        if self.task is None or self.method != kind(study, self.task):
            return None
        file = study.config.teachers.get(self.task)
        return file if isinstance(file, Path) else None

    def teachers(self, study: Study) -> Mapping[str, Path]:
        """The folders of the networks that the run needs to be finished."""
        method = self.taught(study)
        if method.distiller is None or method.teachers == "random":
            return {}
        return {t: teacher_folder(study, t, self.seed) for t in study.config.tasks if not features(study, t)}


def kind(study: Study, task: str) -> str:
    """What the teacher of a task is: one of the single-task networks, or of a kind of its own."""
    return TEACHER if task in study.config.teacher_net else SINGLE


def features(study: Study, task: str) -> bool:
    """Whether the teacher of a task is a network of features alone, which no run trains."""
    return study.config.teachers.get(task) == FEATURES


def teacher_net(study: Study, task: str) -> Callable[[dict[str, int]], MultiTaskNet]:
    """What makes the teacher of a task."""
    return study.config.teacher_net.get(task, study.config.net)


def teacher_folder(study: Study, task: str, seed: int) -> Path:
    """Of the run of a task's teacher."""
    return study.folder / kind(study, task) / task / f"seed{seed}"


def plan(study: Study) -> list[Job]:
    """All runs in order: for every seed the single-task networks, the teachers of another kind, then every method."""
    jobs = []
    for seed in study.config.seeds:
        jobs += [Job(SINGLE, seed, study.folder / SINGLE / t / f"seed{seed}", t) for t in study.config.tasks]
        names = [name for name in study.config.methods if name != SINGLE]
        methods = [Job(name, seed, study.folder / name / f"seed{seed}") for name in names]
        needed = {t: where for job in methods for t, where in job.teachers(study).items()}
        jobs += [Job(TEACHER, seed, needed[t], t) for t in study.config.teacher_net if t in needed]
        jobs += methods
    return jobs
