"""The loop around the step: it offers what methods need and knows none of them."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn

from tutelage.train.config import TrainConfig
from tutelage.train.recorder import Observer, Recorder
from tutelage.train.reduce import PartialStep
from tutelage.train.saver import Saver
from tutelage.train.seed import derive
from tutelage.train.step import objective, training_step
from tutelage.train.streams import RunLength
from tutelage.train.training import Training
from tutelage.types import Batch, Distiller, Task, Terms

Parts = list[list[Batch]]  # of a step: of every part one batch per source


def fit(
    fabric: Fabric,
    run: Training,
    tasks: Mapping[str, Task],
    loader: Iterable[Batch],
    config: TrainConfig,
    length: RunLength,
    seed: int,
    checkpoint: Path | None = None,
    observer: Observer | None = None,
) -> None:
    """Train from `run.step` to the end.

    Args:
        fabric: has the device, the precision and the loggers.
        run: what is trained.
        tasks: name -> task, for the losses.
        loader: the batches from `run.step` on.
        config: how it is trained.
        length: the steps of the run, and what each of them reads.
        seed: of the randomness inside the network, for example dropout.
        checkpoint: where to save; None saves nothing.
        observer: is told of every step.

    Raises:
        NonFiniteError: A loss, or a gradient that is balanced, is not finite; the message names the task and the step.
        Interrupted: SIGTERM or SIGINT arrived; the checkpoint of the last finished step is saved.
    """
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    recorder = Recorder(fabric, run, config, length, observer)
    run.train()
    with Saver(run, checkpoint, config, length) as saver:
        for parts in _steps(loader, length):
            reduces = _reduces(parts, run.distiller, length)
            parts = [[batch.to(fabric.device, layout) for batch in part] for part in parts]
            torch.manual_seed(derive(seed, "step", run.step))
            observed = recorder.observes
            run.begin_step(run.step / length.scheduled, observed)
            for part, reduce in zip(parts, reduces, strict=True):
                observe = recorder.observe if observed and part is parts[-1] else None
                # The unwrapped student under `fabric.autocast`: a wrapped one copies its outputs, and with them the
                # boundary that representation gradients need.
                models = (run.student, tasks, run.distiller, run.balancer)
                terms, weights = training_step(part, *models, reduce, fabric.autocast, observe)
                recorder.add(terms, weights, reduce.labelled)
                run.add(terms, weights)
            with recorder.named_errors():
                weights = run.balancer.finish()
            recorder.end_parts(weights)
            if config.clip_norm is not None:
                nn.utils.clip_grad_norm_(run.student.parameters(), config.clip_norm)
            run.optimisers.step()
            run.balancer.after_step(partial(_again, fabric, run, tasks, parts))
            run.end_step(length.per_epoch)
            recorder.end_step()
            saver.end_step()
    if run.step == length.steps:
        run.finish()


def _steps(loader: Iterable[Batch], length: RunLength) -> Iterator[Parts]:
    """The parts of every step, draw after draw."""
    batches, size = iter(loader), length.sources
    while group := list(islice(batches, length.parts * size)):
        yield [group[i : i + size] for i in range(0, len(group), size)]


def _reduces(parts: Parts, distiller: Distiller | None, length: RunLength) -> list[PartialStep]:
    """The reduction of every part: each draw has counts of its own."""
    size = length.accumulate
    draws = [parts[i : i + size] for i in range(0, len(parts), size)]
    return [reduce for i, draw in enumerate(draws) for reduce in PartialStep.split(draw, distiller, i)]


def _again(fabric: Fabric, run: Training, tasks: Mapping[str, Task], parts: Parts, distilled: bool) -> Terms:
    """The terms of a step's batches under the present parameters, without gradient."""
    terms = Terms()
    with torch.no_grad(), fabric.autocast():
        for part in parts:
            part_terms, _ = objective(part, run.student, tasks, run.distiller if distilled else None, run.balancer)
            terms.task += part_terms.task
            terms.distill += part_terms.distill
    return terms
