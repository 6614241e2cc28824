"""Teachers that somebody has already, in any form, as teachers of a distiller."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

import torch
from torch import Tensor, nn

from tutelage.data import DataSource
from tutelage.deploy import Predictor, load
from tutelage.distill import Teacher
from tutelage.errors import UserError, one_line
from tutelage.images import Size
from tutelage.nets.resized import Resized
from tutelage.study.build import example
from tutelage.types import MultiTaskNet, Task
from tutelage.types.network import check_network, in_eval_mode

AnyTeacher = Teacher | nn.Module | str | PathLike[str]


@dataclass(frozen=True)
class GivenTeacher:
    """A teacher, and whether it predicts all tasks that it teaches, so that it can be evaluated."""

    teacher: Teacher
    predicts: bool


def as_teachers(
    teachers: Mapping[str, AnyTeacher], tasks: Mapping[str, Task[Any]], data: DataSource
) -> dict[str, GivenTeacher]:
    """The teachers by name.

    A network under the name of a task teaches that task; under another name it teaches all tasks that it predicts, or,
    where it predicts none, by its features alone.

    Args:
        teachers: networks with taps, predictors of `tutelage.load`, the files or folders that it reads, or `Teacher`.
        tasks: of the student, by name.
        data: the source; every network is tried on one of its images.

    Raises:
        UserError: one of them is no such thing, or does not fit the tasks or the images.
    """
    if not isinstance(teachers, Mapping) or not teachers:
        raise UserError(
            "teachers: expected networks by name, such as {'depth': network}, found "
            f"{type(teachers).__name__ if teachers else 'none'}"
        )
    images = example(data, tasks, torch.device("cpu"))
    return {str(name): _teacher(str(name), given, tasks, images, data.size) for name, given in teachers.items()}


def _teacher(
    name: str, given: AnyTeacher, tasks: Mapping[str, Task[Any]], images: Tensor, size: Size | None
) -> GivenTeacher:
    key = f"teachers['{name}']"
    if isinstance(given, str | PathLike):
        try:
            given = load(fspath(given))
        except UserError as error:
            raise UserError(f"{key}: {error}") from error
    if isinstance(given, Predictor):
        given = given.net if given.size in (None, size) else Resized({}, given.net, given.size)
    if not isinstance(given, Teacher):
        check_network(given, key, f"{{'{name}': {tasks[name].width}}}" if name in tasks else "{}")
        assert isinstance(given, MultiTaskNet)
        taught = (name,) if name in tasks else tuple(t for t in _predictions(name, given, images) if t in tasks)
        given = Teacher(name, given, taught)
    if given.name != name:
        raise UserError(f"{key}: expected the teacher of that name, found `{given.name}`")
    predictions = _predictions(name, given.network, images)
    for t in given.tasks:
        if t in predictions and t in tasks and predictions[t].shape[1] != tasks[t].width:
            raise UserError(
                f"{key}: expected {tasks[t].width} channels for `{t}`, as {type(tasks[t]).__name__} has, found "
                f"{predictions[t].shape[1]}; give the task the teacher's arguments, or wrap the network without a "
                "task, for its features alone: tutelage.nets.TappedModule({}, ...)"
            )
    return GivenTeacher(given, bool(given.tasks) and predictions.keys() >= set(given.tasks))


def _predictions(name: str, net: MultiTaskNet, images: Tensor) -> dict[str, Tensor]:
    """The raw predictions of a network for some images; its modes stay as they are."""
    device = next((p.device for p in net.parameters()), images.device)
    try:
        with torch.no_grad(), in_eval_mode(net):
            predictions: dict[str, Tensor] = net(images.to(device)).predictions
            return predictions
    except Exception as error:  # whatever a network of the user's own raises
        size = "x".join(map(str, images.shape[2:]))
        raise UserError(
            f"teachers['{name}']: expected a network for images of {size}, found {type(error).__name__}: "
            f"{one_line(error)}; give the data another size"
        ) from error
