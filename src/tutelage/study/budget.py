"""How long a run trains: the study's epochs, or the compute that a method's budget asks for."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from tutelage.data.base import Split
from tutelage.layout import FEATURES, SINGLE, TEACHER
from tutelage.study.config import Method, StudyConfig, teacher_specs
from tutelage.study.plan import RunSpec, training_of
from tutelage.study.teachers import teacher_net
from tutelage.train import TrainConfig, select
from tutelage.train.operations import operations
from tutelage.types import MultiTaskNet


def training_config(spec: RunSpec, objects: StudyConfig) -> TrainConfig:
    """The study's training over the epochs of the method's budget."""
    train, method = objects.train, method_of(objects)
    if method.budget == "student":
        return train
    factor = stretch(spec, objects)
    steps = None if train.max_steps is None else max(1, round(train.max_steps * factor))
    return replace(train, epochs=max(1, round(train.epochs * factor)), max_steps=steps)


def passes(objects: StudyConfig, runs: int) -> dict[Split, float]:
    """How often runs read the samples of each split, those with the budget of the student."""
    train = objects.train
    of_run = float(train.epochs)
    if train.max_steps is not None:
        images = sum(len(part.source.split("train")) for part in objects.data.parts().values())
        of_run = min(of_run, train.max_steps * train.batch_size * train.accumulate / max(1, images))
    return {"train": runs * of_run, "test": float(runs)}


def method_of(objects: StudyConfig) -> Method:
    """The method of a run, from the objects of its config; a network that learns from labels alone has the default."""
    (name,) = objects.methods
    return objects.method.get(name, Method()) if name == SINGLE else objects.method[name]


def stretch(spec: RunSpec, objects: StudyConfig) -> float:
    """How many times the study's epochs a run has: 1, the method's factor, or what the teachers' compute pays for.

    With `with_teachers` and a forward pass as the unit: a step of the student costs 3, training a teacher 3 for each of
    the study's epochs, unless its weights are a file's, running it 1. T teachers of the student's architecture that the
    study trains give 1 + 4 T / 3; others count by the operations of their forward pass.
    """
    budget = method_of(objects).budget
    if isinstance(budget, float):
        return budget
    if budget == "student":
        return 1.0
    teachers = teacher_specs(spec.config).values()
    trained = {kind: 3 * _factor(spec, kind) for kind in (SINGLE, TEACHER)} | {FEATURES: 0.0}
    passes = {teacher.name: 1 + (trained[teacher.kind] if teacher.file is None else 0.0) for teacher in teachers}
    if all(teacher.kind == SINGLE for teacher in teachers):
        return 1 + sum(passes.values()) / 3
    cost = 0.0
    for teacher in teachers:
        widths = {} if teacher.kind == FEATURES else {t: objects.tasks[t].width for t in teacher.tasks}
        cost += passes[teacher.name] * forward_operations(objects, teacher_net(objects, teacher), widths)
    return 1 + cost / (3 * forward_operations(objects, objects.net))


def _factor(spec: RunSpec, kind: str) -> float:
    """How many times the study's epochs the single-task networks or the other teachers are trained."""
    return float(training_of(spec.config["method"], kind).get("budget", 1.0))


def forward_operations(
    objects: StudyConfig, net: Callable[[dict[str, int]], MultiTaskNet], widths: dict[str, int] | None = None
) -> int:
    """Floating-point operations of matrix products and convolutions in a forward pass of one image of the study.

    Args:
        objects: of the study: its tasks and images.
        net: builds the network.
        widths: of its heads; None: of all tasks of the study.
    """
    tasks = objects.tasks
    with torch.random.fork_rng(devices=[]):  # weights are drawn and not used again
        network = net({t: task.width for t, task in tasks.items()} if widths is None else widths).eval()
    stream = select(objects.data, tasks)[0]
    with torch.no_grad():
        return operations(partial(network, stream.samples[stream.index(0)]["image"][None]))
