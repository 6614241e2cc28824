"""The runs that a study consists of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage.balance import Uniform
from tutelage.study.config import SINGLE, Method
from tutelage.study.load import Study
from tutelage.train import TrainConfig
from tutelage.types import Task


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
        if self.method == SINGLE:
            return replace(study.config.method.get(SINGLE, Method(values="study")), balancer=Uniform, distiller=None)
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
        return 1.0 if budget == "student" else 1 + 4 * len(study.config.tasks) / 3

    def given(self, study: Study) -> Path | None:
        """The file of the network, where it is trained already."""
        return study.config.teachers.get(self.task) if self.task is not None else None

    def teachers(self, study: Study) -> Mapping[str, Path]:
        """The single-task networks' folders that the run needs to be finished."""
        method = self.taught(study)
        if method.distiller is None or method.teachers == "random":
            return {}
        return {t: study.folder / SINGLE / t / f"seed{self.seed}" for t in study.config.tasks}


def plan(study: Study) -> list[Job]:
    """All runs in order: for every seed the single-task networks, then every method."""
    jobs = []
    for seed in study.config.seeds:
        jobs += [Job(SINGLE, seed, study.folder / SINGLE / t / f"seed{seed}", t) for t in study.config.tasks]
        methods = [name for name in study.config.methods if name != SINGLE]
        jobs += [Job(name, seed, study.folder / name / f"seed{seed}") for name in methods]
    return jobs
