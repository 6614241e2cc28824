"""Teachers first, then every method, for every seed; what is finished is never repeated."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import safetensors.torch
import torch
import yaml
from lightning_fabric import Fabric
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from torch import Tensor

from tutelage.balance import Uniform
from tutelage.data import Samples
from tutelage.study.config import SINGLE, Method
from tutelage.study.load import Study
from tutelage.study.results import write_results
from tutelage.study.store import claim, refuse_mixing, run_folders, write_text
from tutelage.train import (
    JsonLines,
    NonFiniteError,
    Observer,
    Optimisers,
    Training,
    evaluate,
    fit,
    make_batch,
    predict,
    save_safetensors,
    seeded,
    training_loader,
    validation_loader,
)
from tutelage.types import MultiTaskNet, Sample, Task

_SHOWN = 6  # validation images whose predictions are kept for the report


class Display(Observer, Protocol):
    """Who watches a study."""

    def start(self, name: str, index: int, of: int, resumed: int) -> None:
        """A run begins, or goes on after `resumed` steps."""

    def finish(self, name: str, metrics: Mapping[str, Mapping[str, float]]) -> None:
        """A run ended with these metrics."""

    def note(self, text: str) -> None:
        """One line to the user."""


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


def plan(study: Study) -> list[Job]:
    """All runs in order."""
    jobs = []
    for seed in study.config.seeds:
        jobs += [Job(SINGLE, seed, study.folder / SINGLE / t / f"seed{seed}", t) for t in study.config.tasks]
        methods = [name for name in study.config.methods if name != SINGLE]
        jobs += [Job(name, seed, study.folder / name / f"seed{seed}") for name in methods]
    return jobs


class Runner:
    """Builds and trains the runs of one study; the data are read once for all of them."""

    def __init__(self, study: Study, display: Display) -> None:
        self.study, self.config, self.display = study, study.config, display

    @cached_property
    def images(self) -> Samples:
        """The training images."""
        return self.config.data.split("train")

    @cached_property
    def fingerprint(self) -> str:
        """Of the data."""
        return self.config.data.fingerprint()

    def run(self) -> list[dict[str, Any]]:
        """Train what is not finished and write results.json after every run; its rows are returned."""
        jobs = plan(self.study)
        for job in [*jobs, *self.others(jobs)]:
            refuse_mixing(job.folder, self.values(job), self.fingerprint)
        unfinished = [job for job in jobs if not (job.folder / "result.json").exists()]
        if len(unfinished) < len(jobs):
            finished = f"{len(jobs) - len(unfinished)} of {len(jobs)} runs are finished"
            self.display.note(f"{finished} in {self.study.folder}; they are kept")
        for job in {job.method: job for job in unfinished}.values():
            self.build(job, torch.device("cpu"), trained=False)  # a wrong tap or weight is not found after the teachers
        write_text(self.study.folder / "study.yaml", yaml.safe_dump(self.study.values, sort_keys=False))
        rows = write_results(self.study)
        for index, job in enumerate(jobs):
            if not (job.folder / "result.json").exists():
                self.train(job, index, len(jobs))
                rows = write_results(self.study)
        return rows

    def others(self, jobs: list[Job]) -> list[Job]:
        """The runs of earlier calls in the study's folder, which share its table."""
        found = []
        for folder in run_folders(self.study.folder, "config.yaml"):
            config = yaml.safe_load((folder / "config.yaml").read_text())
            (method,), (seed,) = config["methods"], config["seeds"]
            found.append(Job(method, seed, folder, folder.parent.name if method == SINGLE else None))
        planned = {job.folder for job in jobs}
        return [job for job in found if job.folder not in planned]

    def values(self, job: Job) -> dict[str, Any]:
        """The config of one run: a study of its own, with this method and this seed, in a folder of its own."""
        name = "-".join(filter(None, (self.config.study, job.method, job.task, f"seed{job.seed}")))
        changes = {"study": name, "methods": [job.method], "seeds": [job.seed], "out": None}
        values = copy.deepcopy({**self.study.values, **changes})
        if job.method == SINGLE or job.method in values["method"]:
            values["method"] = {name: method for name, method in values["method"].items() if name == job.method}
        else:  # of an earlier call: what it was made with is not for this study to say
            values["method"] = yaml.safe_load((job.folder / "config.yaml").read_text())["method"]
        if job.task:
            values["tasks"] = {t: task for t, task in values["tasks"].items() if t == job.task}
        return values

    def tasks(self, job: Job) -> dict[str, Task]:
        """The tasks of one run."""
        return {t: task for t, task in self.config.tasks.items() if job.task in (None, t)}

    def fabric(self, job: Job | None = None, done: int = 0) -> Fabric:
        """Device and precision, with the run's loggers."""
        train = self.config.train
        accelerator = train.accelerator
        if accelerator == "auto":
            accelerator = "cuda" if torch.cuda.is_available() else "cpu"
        loggers = []
        if job is not None:
            board = TensorBoardLogger(job.folder, name="tensorboard", version="", purge_step=done + 1)
            loggers = [JsonLines(job.folder / "log.jsonl", after=done), board]
        return Fabric(accelerator=accelerator, devices=1, precision=train.resolved_precision(), loggers=loggers)

    def build(self, job: Job, device: torch.device, trained: bool = True) -> Training:
        """The run at its first step; `trained=False` takes untrained teachers, to time a step."""
        config, tasks, method = self.config, self.tasks(job), self.method(job)
        layout = torch.channels_last if config.train.channels_last else torch.contiguous_format
        # A single-task network begins elsewhere than the student: were they to begin alike, their features would be
        # near each other without any distillation.
        with seeded(job.seed, "net", job.task or "student"):
            student = config.net({t: task.width for t, task in tasks.items()})
        _place(student, device, layout)
        distiller = None
        if method.distiller is not None:
            teachers = {t: _place(self.teacher(t, job.seed, trained), device, layout) for t in tasks}
            example = self.images[0]["image"][None].to(device)
            with seeded(job.seed, "adaptors"):
                distiller = method.distiller(student, teachers, example).to(device)
        balancer = method.balancer()
        with seeded(job.seed, "balancer"):
            balancer.setup(tasks, student)
        balancer.to(device)
        adaptors = [] if distiller is None else [p for p in distiller.parameters() if p.requires_grad]
        parts = {
            "student": (list(student.parameters()), config.train.student),
            "adaptors": (adaptors, method.adaptor_optim),
            "balancer": (list(balancer.parameters()), method.balancer_optim),
        }
        steps = config.train.epochs * config.train.steps_per_epoch(len(self.images))  # a schedule ignores max_steps
        optimisers = Optimisers(parts, config.train.epochs, steps)
        return Training(student, distiller, balancer, optimisers, config.train.ema)

    def method(self, job: Job) -> Method:
        """How the run is taught; a single-task network learns its loss and nothing else."""
        return Method(balancer=Uniform) if job.method == SINGLE else self.config.method[job.method]

    def teacher(self, task: str, seed: int, trained: bool = True) -> MultiTaskNet:
        """The single-task network of a task."""
        net = self.config.net({task: self.config.tasks[task].width})
        if trained:
            net.load_state_dict(load_tensors(self.study.folder / SINGLE / task / f"seed{seed}" / "student.safetensors"))
        return net

    def train(self, job: Job, index: int, of: int) -> None:
        """One run, from its last checkpoint to its result."""
        config, tasks, folder = self.config.train, self.tasks(job), job.folder
        checkpoint = folder / "checkpoint.pt"
        claim(folder, self.values(job), self.fingerprint)
        run = self.build(job, self.fabric().device)
        run.resume(checkpoint)
        fabric = self.fabric(job, run.step)
        source, images = self.config.data, len(self.images)
        self.display.start(job.name, index, of, run.step)
        loader = training_loader(self.images, source.modalities, tasks, config, job.seed, run.step, source.name)
        try:
            fit(fabric, run, tasks, loader, config, images, job.seed, checkpoint, self.display)
        except NonFiniteError as error:
            raise NonFiniteError(f"{job.name}: {error}") from error
        finally:
            for logger in fabric.loggers:
                logger.finalize("")
        validation = source.split("val")
        metrics = evaluate(
            fabric, run.result, tasks, validation_loader(validation, tasks, config, source.name), config.channels_last
        )
        count = len(validation)
        shown = [validation[i * count // min(count, _SHOWN)] for i in range(min(count, _SHOWN))]
        shown = [sample for sample in shown if sample["image"].shape == shown[0]["image"].shape]
        self.save_predictions(fabric, run.result, tasks, shown, folder / "predictions.safetensors")
        student = {"config": json.dumps(self.values(job)), "format": "tutelage-student-1"}
        save_safetensors(folder / "student.safetensors", run.result.state_dict(), student)
        result = {
            "method": job.method,
            "task": job.task,
            "seed": job.seed,
            "split": "val",
            "metrics": metrics,
            "parameters": sum(p.numel() for p in run.result.parameters()),
            "seconds": round(run.seconds, 3),
            "steps": run.step,
        }
        write_text(folder / "result.json", json.dumps(result, indent=2) + "\n")  # last: it says that all is there
        self.display.finish(job.name, metrics["dataset"])

    @staticmethod
    def save_predictions(
        fabric: Fabric, net: MultiTaskNet, tasks: Mapping[str, Task], samples: list[Sample], path: Path
    ) -> None:
        """Keep what the report draws: images, targets and activated predictions."""
        batch = make_batch(samples, tasks)
        tensors: dict[str, Tensor] = {"image": (batch.images * 255).round().to(torch.uint8)}
        for t, prediction in predict(fabric, net, tasks, batch).items():
            tensors[f"prediction/{t}"] = _compact(prediction)
        for t, target in batch.targets.items():
            tensors |= {f"target/{t}": _compact(target.value), f"valid/{t}": target.valid}
        save_safetensors(path, tensors)


def _place(net: MultiTaskNet, device: torch.device, layout: torch.memory_format) -> MultiTaskNet:
    return net.to(device).to(memory_format=layout)


def _compact(value: Tensor) -> Tensor:
    return value.to(torch.float16 if value.is_floating_point() else torch.int16)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        ValueError: the file is missing or not one.
    """
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        problem = str(error).split("\n")[0]
        raise ValueError(
            f"{path}: expected a network saved by tutelage, found {problem}; remove its run folder"
        ) from error


def run_study(study: Study, display: Display) -> list[dict[str, Any]]:
    """Run a study; the rows of its results.json are returned."""
    return Runner(study, display).run()
