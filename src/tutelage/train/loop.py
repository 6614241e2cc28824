"""The loop around the step: it offers what methods need and knows none of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn

from tutelage.train.best_epoch import Metrics
from tutelage.train.callbacks import Callbacks
from tutelage.train.common_state import average_buffers, own_random
from tutelage.train.config import TrainConfig
from tutelage.train.gradients import Gradients
from tutelage.train.recorder import Observer, Recorder
from tutelage.train.reduce import PartCounts, PartialStep, add_counts
from tutelage.train.saver import Saver
from tutelage.train.seed import derive, set_seed
from tutelage.train.step import objective, training_step
from tutelage.train.streams import RunLength
from tutelage.train.training import Training
from tutelage.types import Batch, Distiller, Task, Terms, World

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
    world: World | None = None,
    measure: Callable[[], Metrics] | None = None,
) -> None:
    """Train from `run.step` to the end, which a callback may bring forward.

    Args:
        fabric: has the device, the precision and the loggers.
        run: what is trained.
        tasks: name -> task, for the losses.
        loader: the batches from `run.step` on; of several processes, this one's slice of each.
        config: how it is trained.
        length: the steps of the run, and what each of them reads.
        seed: of the randomness inside the network, for example dropout.
        checkpoint: where to save; None saves nothing.
        observer: is told of every step.
        world: the processes that train together; None: this one alone.
        measure: gives the metrics of `run.result` on the part of train that is held out; None: there is none.

    Raises:
        NonFiniteError: A loss, or a gradient that is balanced, is not finite; the message names the task and the step.
        Interrupted: SIGTERM or SIGINT arrived; the checkpoint of the last finished step is saved.
    """
    world = world or World()
    layout = config.memory_format
    recorder = Recorder(fabric, run, config, length, observer, world)
    callbacks = Callbacks(run, length, fabric, measure, checkpoint and checkpoint.parent, world)
    waits = any(isinstance(module, nn.SyncBatchNorm) for module in run.student.modules())
    run.train()
    with Saver(run, checkpoint, config, length, world) as saver, Gradients(world, run.partial_gradients()) as gradients:
        for own in () if run.stopped else _steps(loader, length):
            reduces = _reduces(own, tasks, run.distiller, length, world, saver)
            parts = [reduce.complete(part, tasks) if waits else part for part, reduce in zip(own, reduces, strict=True)]
            parts = [[b.to(fabric.device, layout) for b in part if len(b.images)] for part in parts]
            set_seed(derive(seed, "step", run.step), fabric.device)
            observed = recorder.observes
            run.begin_step(run.step / length.scheduled, observed)
            for n, (part, reduce) in enumerate(zip(parts, reduces, strict=True)):
                last = n + 1 == len(parts)
                observe = partial(recorder.observe, reduce) if observed and last else None
                # The unwrapped student under `fabric.autocast`: a wrapped one copies its outputs, and with them the
                # boundary that representation gradients need.
                models = (run.student, tasks, run.distiller, run.balancer)
                context = partial(_forward, fabric, run, world, seed, n)
                with gradients.during(last and run.balancer.completes == "backward"):
                    terms, weights = training_step(part, *models, reduce, context, observe)
                recorder.add(reduce, terms, weights)
                run.add(terms, weights)
            with recorder.named_errors(), gradients.during(run.balancer.completes == "finish"):
                weights = run.balancer.finish()
            gradients.finish()
            recorder.end_parts(weights, reduces)
            if config.clip_norm is not None:
                for network in (run.student, *(() if run.distiller is None else run.distiller.networks())):
                    nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
            run.optimisers.step()
            run.balancer.after_step(partial(_again, fabric, run, tasks, parts, reduces, seed))
            run.end_step(length.per_epoch)
            recorder.end_step()
            callbacks.end_step()
            saver.end_step()
            if run.stopped:
                break
    average_buffers(world, run.modules().values())
    if run.step == length.steps or run.stopped:
        run.finish()
        callbacks.end_run()


def _steps(loader: Iterable[Batch], length: RunLength) -> Iterator[Parts]:
    """The parts of every step, draw after draw."""
    batches, size = iter(loader), length.sources
    while group := list(islice(batches, length.parts * size)):
        yield [group[i : i + size] for i in range(0, len(group), size)]


def _reduces(
    parts: Parts,
    tasks: Mapping[str, Task],
    distiller: Distiller | None,
    length: RunLength,
    world: World,
    saver: Saver,
) -> list[PartialStep]:
    """The reduction of every part: each draw has counts of its own. With the counts travels what `saver` wishes."""
    counts = [PartCounts.of(part, distiller) for part in parts]
    keys = () if distiller is None else tuple(dict.fromkeys((*distiller.teaches(), *tasks)))
    everywhere, wishes = add_counts(counts, tuple(tasks), keys, world, saver.wishes())
    saver.heed(wishes)
    size = length.accumulate
    draws = enumerate((counts[i : i + size], everywhere[i : i + size]) for i in range(0, len(counts), size))
    return [reduce for draw, (own, all_) in draws for reduce in PartialStep.of(own, all_, draw, world)]


@contextmanager
def _forward(fabric: Fabric, run: Training, world: World, seed: int, part: int | str) -> Iterator[None]:
    """The precision of the forward pass of a part of a step, and in several processes its random numbers."""
    own = derive(seed, "step", run.step, "process", world.rank, part)
    with fabric.autocast(), own_random(world, own, fabric.device):
        yield


def _again(
    fabric: Fabric,
    run: Training,
    tasks: Mapping[str, Task],
    parts: Parts,
    reduces: Sequence[PartialStep],
    seed: int,
    distilled: bool,
) -> Terms:
    """The terms of a step's batches under the present parameters, without gradient."""
    terms = Terms()
    with torch.no_grad(), _forward(fabric, run, reduces[0].world, seed, "again"):
        for part in parts:
            part_terms, _ = objective(part, run.student, tasks, run.distiller if distilled else None, run.balancer)
            terms.task += part_terms.task
            terms.distill += part_terms.distill
    return reduces[0].summed(terms, fabric.device)
