"""Teachers first, then every method, for every seed; what is finished is never repeated."""

import json
import time
from collections.abc import Mapping
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import torch
import yaml
from lightning_fabric import Fabric
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from torch import Tensor

from tutelage.files import write_text
from tutelage.study.build import build, teacher
from tutelage.study.config import FEATURES, SINGLE, TEACHER
from tutelage.study.jobs import Job, features, plan
from tutelage.study.load import Study
from tutelage.study.results import write_results
from tutelage.study.run_values import run_values
from tutelage.study.store import (
    claim,
    fingerprint,
    locked,
    note_determinism,
    read_record,
    refuse_mixing,
    run_folders,
    write_shared,
)
from tutelage.train import (
    JsonLines,
    NonFiniteError,
    Observer,
    deterministic,
    evaluate,
    fit,
    make_batch,
    predict,
    save_safetensors,
    training_loader,
    validation_loader,
)
from tutelage.types import MaskedTarget, MultiTaskNet, Task

_SHOWN = 6  # validation images whose predictions are kept for the report
_PATIENCE = 2.0  # seconds until the runs of other processes are looked at again


class Display(Observer, Protocol):
    """Who watches a study."""

    def start(self, name: str, index: int, of: int, resumed: int) -> None:
        """A run begins, or goes on after `resumed` steps."""

    def finish(self, name: str, metrics: Mapping[str, Mapping[str, float]]) -> None:
        """A run ended with these metrics."""

    def note(self, text: str) -> None:
        """One line to the user."""


class Runner:
    """Builds and trains the runs of one study; the data are read once for all of them.

    Several processes may run the same study in the same folder: each takes the next run that no other is at.
    """

    def __init__(self, study: Study, display: Display) -> None:
        self.study, self.config, self.display = study, study.config, display
        self._seen: dict[tuple[str, int], str] = {}

    @cached_property
    def fingerprint(self) -> str:
        """Of the data."""
        return self.config.data.fingerprint()

    def run(self) -> list[dict[str, Any]]:
        """Train what is not finished and write results.json after every run; its rows are returned."""
        jobs = plan(self.study)
        self.refuse([*jobs, *self.others(jobs)])
        unfinished = [job for job in jobs if not job.finished]
        if len(unfinished) < len(jobs):
            finished = f"{len(jobs) - len(unfinished)} of {len(jobs)} runs are finished"
            self.display.note(f"{finished} in {self.study.folder}; they are kept")
        for job in {(job.method, job.task): job for job in unfinished}.values():
            build(self.study, job, torch.device("cpu"), trained=False)  # a wrong tap is not found after the teachers
        needed = {(t, job.seed): folder for job in unfinished for t, folder in job.teachers(self.study).items()}
        for (t, seed), folder in needed.items():
            if (folder / "result.json").exists():
                teacher(self.study, t, seed)  # nor is a damaged teacher found after the methods without one
        write_shared(self.study.folder / "study.yaml", yaml.safe_dump(self.study.values, sort_keys=False))
        waited = False
        while unfinished:
            self.refuse([job for job in unfinished if job.finished])  # by another process, perhaps with other values
            unfinished = [job for job in unfinished if not job.finished]
            write_results(self.study)
            if not unfinished:
                break
            if not self.train_next(unfinished, jobs):
                if not waited:
                    self.display.note(f"waits for {unfinished[0].name}, which another process trains")
                waited = True
                time.sleep(_PATIENCE)
        self.refuse([*jobs, *self.others(jobs)])
        return write_results(self.study)

    def refuse(self, jobs: list[Job]) -> None:
        """Raise a ValueError if the folder of a job holds a run of another config, of other data or networks."""
        for job in jobs:
            values = run_values(self.study, job)
            refuse_mixing(job.folder, values, self.fingerprint, self.networks(job, values))

    def networks(self, job: Job, values: Mapping[str, Any]) -> dict[str, str]:
        """The fingerprints of the networks that a run could learn from or was given, as far as they are there.

        Args:
            job: the run.
            values: its config.
        """
        given = job.given(self.study)
        if job.task is not None and given is not None:
            return {job.task: blake2b(given.read_bytes(), digest_size=8).hexdigest()}
        found = {}
        for task in self.config.tasks if job.task is None else ():
            if values["teachers"].get(task) == FEATURES:
                weights = self.seen(task, job.seed) if features(self.study, task) else None
            else:
                kind = TEACHER if task in values["teacher_net"] else SINGLE
                path = self.study.folder / kind / task / f"seed{job.seed}" / "result.json"
                weights = read_record(path).get("weights") if path.exists() else None
            if weights is not None:
                found[task] = str(weights)
        return found

    def seen(self, task: str, seed: int) -> str:
        """The fingerprint of a teacher of features alone."""
        if (task, seed) not in self._seen:
            self._seen[task, seed] = fingerprint(teacher(self.study, task, seed).state_dict())
        return self._seen[task, seed]

    def train_next(self, unfinished: list[Job], jobs: list[Job]) -> bool:
        """Train the first run whose teachers are there and that no other process is at; False where there is none."""
        for job in unfinished:
            if not all((folder / "result.json").exists() for folder in job.teachers(self.study).values()):
                continue
            with locked(job.folder) as mine:
                if mine and not job.finished:
                    self.train(job, jobs.index(job), len(jobs))
                if mine:
                    return True
        return False

    def others(self, jobs: list[Job]) -> list[Job]:
        """The runs of earlier calls in the study's folder, which share its table."""
        found = []
        for path in run_folders(self.study.folder, "config.yaml"):
            (seed,) = read_record(path / "config.yaml", "seeds")["seeds"]
            method, *task = path.relative_to(self.study.folder).parts[:-1]
            found.append(Job(method, seed, path, task[0] if task else None))
        planned = {job.folder for job in jobs}
        return [job for job in found if job.folder not in planned]

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

    def train(self, job: Job, index: int, of: int) -> None:
        """One run, from its last checkpoint to its result."""
        config, tasks, folder = job.training(self.study), job.tasks(self.study), job.folder
        checkpoint = folder / "checkpoint.pt"
        method = job.taught(self.study)
        learns = (method.distiller is not None and method.teachers == "trained") or job.given(self.study)
        values = run_values(self.study, job)
        claim(folder, values, self.fingerprint, self.networks(job, values) if learns else {})
        with deterministic(config.deterministic) as forced:  # before anything runs on a GPU
            run, streams = build(self.study, job, self.fabric().device)
            run.resume(checkpoint)
            fabric = self.fabric(job, run.step)
            self.display.start(job.name, index, of, run.step)
            loader = training_loader(streams, tasks, config, job.seed, run.step)
            try:
                if job.given(self.study) is None:
                    fit(fabric, run, tasks, loader, config, streams.length, job.seed, checkpoint, self.display)
            except NonFiniteError as error:
                raise NonFiniteError(f"{job.name}: {error}") from error
            finally:
                for logger in fabric.loggers:
                    logger.finalize("")
            loader = validation_loader(self.config.data, tasks, config)
            metrics = evaluate(fabric, run.result, tasks, loader, config.channels_last)
        if config.deterministic:
            note_determinism(folder, forced, self.display.note)
        self.save_predictions(fabric, run.result, tasks, folder / "predictions.safetensors")
        student = {"config": json.dumps(values), "format": "tutelage-student-1"}
        save_safetensors(folder / "student.safetensors", run.result.state_dict(), student)
        result = {
            "method": job.method,
            "task": job.task,
            "seed": job.seed,
            "split": "val",
            "values": job.taught(self.study).values,
            "weights": fingerprint(run.result.state_dict()),
            "metrics": metrics,
            "parameters": sum(p.numel() for p in run.result.parameters()),
            "seconds": round(run.seconds, 3),
            "steps": run.step,
        }
        write_text(folder / "result.json", json.dumps(result, indent=2) + "\n")  # last: it says that all is there
        self.display.finish(job.name, metrics["dataset"])

    def save_predictions(self, fabric: Fabric, net: MultiTaskNet, tasks: Mapping[str, Task], path: Path) -> None:
        """Keep what the report draws of every source: images, targets and activated predictions."""
        tensors: dict[str, Tensor] = {}
        parts = self.config.data.parts()
        for name, part in parts.items():
            samples = part.source.split("val")
            count, shown = len(samples), min(len(samples), _SHOWN)
            chosen = [samples[i * count // shown] for i in range(shown)]
            batch = make_batch([x for x in chosen if x["image"].shape == chosen[0]["image"].shape], tasks)
            prefix = f"{name}/" if len(parts) > 1 else ""
            tensors[f"{prefix}image"] = (batch.images * 255).round().to(torch.uint8)
            # Of several sources, each has predictions of the tasks that it has labels of.
            said = predict(fabric, net, {t: task for t, task in tasks.items() if t in part.source.modalities}, batch)
            tensors |= {f"{prefix}prediction/{t}": _compact(prediction) for t, prediction in said.items()}
            for t, target in batch.targets.items():
                if isinstance(target, MaskedTarget):
                    tensors |= {f"{prefix}target/{t}": _compact(target.value), f"{prefix}valid/{t}": target.valid}
        save_safetensors(path, tensors)


def _compact(value: Tensor) -> Tensor:
    if value.ndim <= 2:  # of whole images: any number
        return value
    return value.to(torch.float16 if value.is_floating_point() else torch.int16)


def run_study(study: Study, display: Display) -> list[dict[str, Any]]:
    """Run a study; the rows of its results.json are returned."""
    return Runner(study, display).run()
