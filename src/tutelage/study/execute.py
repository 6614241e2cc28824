"""One run, from its spec to its result: it knows no other run, and all that a launcher calls is here."""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.logger import Logger

from tutelage.data.shards import Keeper
from tutelage.deploy import fingerprint, write_bundle
from tutelage.errors import UserError, writing_to
from tutelage.files import write_record
from tutelage.study.budget import passes, training_config
from tutelage.study.build import build_run, estimate_norms, norm_batches
from tutelage.study.config import Builder
from tutelage.study.loggers import run_loggers
from tutelage.study.memory_format import with_memory_format
from tutelage.study.mixing import Guard, refuse_mixing
from tutelage.study.observers import RunObserver, Silent
from tutelage.study.plan import RunSpec
from tutelage.study.predictions import save_predictions
from tutelage.study.processes import in_processes
from tutelage.study.store import claim, is_finished, note_determinism, note_processes, write_spec
from tutelage.study.teacher_cache import cache_teachers
from tutelage.study.validation import measure
from tutelage.train import (
    NonFiniteError,
    Processes,
    TrainConfig,
    compiled,
    deterministic,
    evaluate,
    fit,
    freed_memory_kept,
    main_first,
    seeded,
    share_state,
    this_world,
    training_loader,
    validation_loader,
)
from tutelage.types import World


def execute(spec: RunSpec, folder: Path, observer: RunObserver, build: Builder | None = None) -> dict[str, Any]:
    """Train a run from its last checkpoint, evaluate it and write its result.

    The caller holds the lock of the run's folder and has the runs that it needs finished.

    Args:
        spec: the run.
        folder: of the study; the run's is `folder / spec.id`.
        observer: is told how far it is.
        build: builds the objects of its config; shared by runs in one process, so that they share the images in memory.

    With `train.devices` above 1 it is trained by as many new processes; where torchrun or SLURM started several, the
    others are told to take part.

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
    build, world = build or Builder(), this_world()
    with writing_to(place):
        objects = build(spec.config)
        data, networks = build.fingerprint(objects), Guard(folder, build).networks(spec)
        refuse_mixing(place, spec.config, data, networks, partial(build.former_fingerprint, objects))
        claim(place, spec.config, data, networks)
        write_spec(place, spec)
        with_memory_format(spec, objects, place, observer.note)  # measured and recorded before others are asked
        result: dict[str, Any]
        if isinstance(world, Processes):
            world.order((spec, folder, data))
            result = _compute(world, observer, spec, folder, data, build)
        elif objects.train.devices > 1:
            result = in_processes(objects.train.devices, _compute, observer, spec, folder, data)
        else:
            result = _compute(world, observer, spec, folder, data, build)
        return result


def take_part(world: Processes) -> None:
    """Compute a share of every run, in a process that torchrun or SLURM started beside the main one, to their end.

    Raises:
        UserError: What any process of a run may raise.
        Interrupted: A signal stopped a run between two steps.
    """
    build = Builder()
    while (order := world.next_order()) is not None:
        spec, folder, data = order
        with writing_to(folder / spec.id):
            _compute(world, Silent(), spec, folder, data, build)


def _compute(
    world: World, observer: RunObserver, spec: RunSpec, folder: Path, data: str, build: Builder | None = None
) -> dict[str, Any]:
    """Train and evaluate a run, in each of its processes; the main one writes the result and returns it."""
    build, place = build or Builder(), folder / spec.id
    objects = with_memory_format(spec, build(spec.config), place, observer.note)
    # What `auto` does not keep the check has said, once for all runs.
    note = observer.note if objects.train.shards == "always" else Silent().note
    objects.data.keep_decoded(Keeper(objects.train.shards, note, passes(objects, runs=1)))
    config, tasks = training_config(spec, objects), objects.tasks
    device = fabric_for(config, world).device
    with freed_memory_kept(device), deterministic(config.deterministic) as forced:  # before anything runs on a GPU
        run, streams = build_run(spec, objects, folder, device, world=world)
        run.resume(place / "checkpoint.pt")
        share_state(world, run)
        fabric = fabric_for(config, world, run_loggers(config.logger, spec, place, run.step) if world.main else [])
        if world.main:
            note_processes(place, world.size)
        observer.begin(run.step)
        if run.step < streams.length.steps:
            with main_first(world):
                cache_teachers(spec, objects, run, streams, folder, data, fabric, observer.note, world.main)
        loader = training_loader(streams, tasks, config, spec.seed, run.step, world, fabric.device)
        try:
            if spec.file is None:
                path = place / "checkpoint.pt"
                with compiled(run, config, streams.batch_sizes, tasks, partial(_note, observer, spec)):
                    held = measure(objects, run, fabric, world)
                    fit(fabric, run, tasks, loader, config, streams.length, spec.seed, path, observer, world, held)
                if config.batch_norm == "estimated":
                    with seeded(spec.seed, "norms"), fabric.autocast():
                        estimate_norms(run.result, norm_batches(objects, config, fabric.device))
        except NonFiniteError as error:
            raise NonFiniteError(f"{spec.label}: {error}") from error
        finally:
            for logger in fabric.loggers:
                logger.finalize("")
        loader = validation_loader(objects.data, tasks, config, world, fabric.device)
        metrics = evaluate(fabric, run.result, tasks, loader, config.memory_format == torch.channels_last, world)
    if not world.main:
        return {}
    if run.stopped:
        observer.note(f"{spec.label}: ended after step {run.step}: {run.stopped}")
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
        **({"stopped": run.stopped} if run.stopped else {}),
        **(
            {}
            if run.best is None or not run.best.step
            else {"best": {"step": run.best.step, "validation": run.best.metrics}}
        ),
    }
    write_record(place / "result.json", result)  # last: it says that all is there
    if not config.keep_checkpoint:
        (place / "checkpoint.pt").unlink(missing_ok=True)
    return result


def _note(observer: RunObserver, spec: RunSpec, text: str) -> None:
    observer.note(f"{spec.label}: {text}")


def fabric_for(config: TrainConfig, world: World | None = None, loggers: Sequence[Logger] = ()) -> Fabric:
    """Device and precision of a process, and where the main one logs."""
    world = world or World()
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)  # it logs the precision twice
    accelerator = config.accelerator
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    if accelerator == "cuda" and world.local_rank >= torch.cuda.device_count():
        raise UserError(
            f"train.devices: expected at most the {torch.cuda.device_count()} GPUs of this machine, found process "
            f"{world.local_rank + 1}; start fewer, or train with --accelerator cpu"
        )
    devices = [world.local_rank] if accelerator == "cuda" else 1
    return Fabric(
        accelerator=accelerator, devices=devices, precision=config.resolved_precision(), loggers=list(loggers)
    )


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
