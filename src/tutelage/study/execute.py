"""One run, from its spec to its result: it knows no other run, and all that a launcher calls is here."""

import json
import logging
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from tutelage.data.shards import Keeper
from tutelage.deploy import write_bundle
from tutelage.errors import UserError, writing_to
from tutelage.files import write_json
from tutelage.study.budget import training_config
from tutelage.study.build import build_run
from tutelage.study.caching import cache_teachers
from tutelage.study.config import Builder
from tutelage.study.mixing import Guard, refuse_mixing
from tutelage.study.plan import RunSpec
from tutelage.study.predictions import save_predictions
from tutelage.study.store import claim, fingerprint, is_finished, note_determinism, write_spec
from tutelage.train import (
    JsonLines,
    NonFiniteError,
    Observer,
    TrainConfig,
    deterministic,
    evaluate,
    fit,
    training_loader,
    validation_loader,
)


class RunObserver(Observer, Protocol):
    """Who watches one run."""

    def begin(self, resumed: int) -> None:
        """The run begins, or continues after `resumed` steps."""

    def note(self, text: str) -> None:
        """One line to the user."""


def execute(spec: RunSpec, folder: Path, observer: RunObserver, build: Builder | None = None) -> dict[str, Any]:
    """Train a run from its last checkpoint, evaluate it and write its result.

    The caller holds the lock of the run's folder and has the runs that it needs finished.

    Args:
        spec: the run.
        folder: of the study; the run's is `folder / spec.id`.
        observer: is told how far it is.
        build: builds the objects of its config; shared by runs in one process, so that they share the images in memory.

    Returns:
        What result.json holds.

    Raises:
        UserError: the folder holds another run, or the config cannot be built.
        NonFiniteError: the training diverged.
    """
    place = folder / spec.id
    for need in spec.needs:
        if not is_finished(folder / need):
            raise UserError(
                f"{folder / need}: expected a finished run, which {spec.label} needs, found none; execute it first"
            )
    with writing_to(place):
        return _execute(spec, folder, place, observer, build or Builder())


def _execute(spec: RunSpec, folder: Path, place: Path, observer: RunObserver, build: Builder) -> dict[str, Any]:
    objects = build(spec.config)
    objects.data.keep_decoded(Keeper(objects.train.shards, observer.note))
    data, networks = build.fingerprint(objects), Guard(folder, build).networks(spec)
    refuse_mixing(place, spec.config, data, networks)
    claim(place, spec.config, data, networks)
    write_spec(place, spec)
    config, tasks = training_config(spec, objects), objects.tasks
    with deterministic(config.deterministic) as forced:  # before anything runs on a GPU
        run, streams = build_run(spec, objects, folder, fabric_for(config).device)
        run.resume(place / "checkpoint.pt")
        fabric = fabric_for(config, place, run.step)
        observer.begin(run.step)
        if run.step < streams.length.steps:
            cache_teachers(spec, objects, run, streams, folder, data, fabric, observer.note)
        loader = training_loader(streams, tasks, config, spec.seed, run.step, fabric.device)
        try:
            if spec.file is None:
                fit(fabric, run, tasks, loader, config, streams.length, spec.seed, place / "checkpoint.pt", observer)
        except NonFiniteError as error:
            raise NonFiniteError(f"{spec.label}: {error}") from error
        finally:
            for logger in fabric.loggers:
                logger.finalize("")
        loader = validation_loader(objects.data, tasks, config, fabric.device)
        metrics = evaluate(fabric, run.result, tasks, loader, config.channels_last)
    if config.deterministic:
        note_determinism(place, forced, observer.note)
    save_predictions(fabric, run.result, tasks, objects.data, place / "predictions.safetensors")
    student, config_of_run = place / "student.safetensors", {"run": json.dumps(spec.config)}
    net, task_values, size = spec.config["net"], spec.config["tasks"], objects.data.size
    write_bundle(student, net, task_values, size, run.result.state_dict(), config_of_run)
    result = {
        "method": spec.method,
        "task": spec.task,
        "seed": spec.seed,
        "split": "test",
        "values": spec.values,
        "weights": fingerprint(run.result.state_dict()),
        "metrics": _defined(spec, metrics, observer),
        "parameters": sum(p.numel() for p in run.result.parameters()),
        "seconds": round(run.seconds, 3),
        "steps": run.step,
    }
    write_json(place / "result.json", result)  # last: it says that all is there
    return result


def fabric_for(config: TrainConfig, place: Path | None = None, done: int = 0) -> Fabric:
    """Device and precision, with the loggers of a run's folder."""
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)  # it logs the precision twice
    accelerator = config.accelerator
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    loggers = []
    if place is not None:
        board = TensorBoardLogger(place, name="tensorboard", version="", purge_step=done + 1)
        loggers = [JsonLines(place / "log.jsonl", after=done), board]
    return Fabric(accelerator=accelerator, devices=1, precision=config.resolved_precision(), loggers=loggers)


def _defined(
    spec: RunSpec, metrics: Mapping[str, Mapping[str, Mapping[str, float]]], observer: RunObserver
) -> dict[str, dict[str, dict[str, float | None]]]:
    """The metrics with None, which JSON has, for a value that does not exist; the user is told of them."""
    undefined = [
        f"{t} {name} ({protocol})"
        for protocol, of_tasks in metrics.items()
        for t, values in of_tasks.items()
        for name, value in values.items()
        if not isfinite(value)
    ]
    if undefined:
        observer.note(
            f"{spec.label}: no value for {', '.join(undefined)}: no test image has what it is measured on, or the "
            "predictions are not finite; it is null in result.json"
        )
    return {
        protocol: {
            t: {name: value if isfinite(value) else None for name, value in values.items()}
            for t, values in of_tasks.items()
        }
        for protocol, of_tasks in metrics.items()
    }
