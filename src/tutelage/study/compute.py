"""What a training step computes, counted in operations, so that methods compare at equal compute on any machine."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from tutelage.balance import Uniform
from tutelage.study.budget import training_config
from tutelage.study.build import build_run
from tutelage.study.config import StudyConfig
from tutelage.study.plan import RunSpec
from tutelage.study.teacher_cache import Spared
from tutelage.train import Streams, fit, objective, training_loader
from tutelage.train.operations import operations


def step_operations(spec: RunSpec, objects: StudyConfig, folder: Path, fabric: Fabric) -> dict[str, Any]:
    """The operations of one step of a run, and of a plain step of its network on the same images.

    Floating-point operations of convolutions and matrix products are counted, forward and backward, of all networks
    that the step runs: teachers as if none was read from the cache. The run is built anew and forgotten.

    Returns:
        `step`; `plain`: forward pass, sum of the losses, backward pass of the network alone; `cached`, where the
        finished run has read teachers from the cache, see `Spared.operations`.
    """
    run, streams = build_run(spec, objects, folder, fabric.device, trained=False)
    config, draws = replace(training_config(spec, objects), observe_steps=None, workers=0), streams.length.draws
    two = Streams(streams.streams, config.batch_size, config.epochs, config.accumulate, 2, draws)
    batches = list(training_loader(two, objects.tasks, config, spec.seed, 0))
    batches = batches[: len(batches) // two.length.steps]  # the last step of a run measures the conflict of gradients

    def plain() -> None:
        for batch in batches[: len(batches) // draws]:  # a plain step takes one draw
            terms, _ = objective([batch.to(fabric.device)], run.student, objects.tasks, None, Uniform())
            losses = [term.sum for term in terms.task.values()]
            sum(losses[1:], losses[0]).backward()  # type: ignore[no-untyped-call]  # torch has no types for it

    spared = Spared(run, folder / spec.id)
    step = operations(partial(fit, fabric, run, objects.tasks, batches, config, two.length, spec.seed))
    cached = spared.operations({batch.source: batch.to(fabric.device).images[:1] for batch in batches})
    run.train()
    return {"step": step, "plain": operations(plain), **cached}
