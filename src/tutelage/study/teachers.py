"""The networks that a study names, and the teachers of a run with their weights."""

from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from tutelage.deploy import fingerprint
from tutelage.distill import Teacher
from tutelage.errors import UserError, one_line
from tutelage.layout import FEATURES
from tutelage.nets import SegNet, load_authors
from tutelage.reading import check_regular
from tutelage.study.config import StudyConfig, TeacherConfig, TeacherSpec
from tutelage.study.plan import RunSpec
from tutelage.study.store import read_record
from tutelage.train import TrainConfig, seeded
from tutelage.types import MultiTaskNet

MakeNet = Callable[[dict[str, int]], MultiTaskNet]


def teacher_net(objects: StudyConfig, teacher: TeacherSpec) -> MakeNet:
    """What builds the network of a teacher."""
    own = objects.teachers.get(teacher.name)
    if teacher.key.startswith("teachers.") and isinstance(own, TeacherConfig) and own.net is not None:
        return own.net
    return objects.net if teacher.key == "net" else objects.teacher_net[teacher.name]


def build_teachers(
    spec: RunSpec, objects: StudyConfig, folder: Path, trained: bool, device: torch.device
) -> dict[str, Teacher]:
    """The teachers of a run by name. Equal networks are one object, which runs once for all of its names."""
    teachers: dict[str, Teacher] = {}
    built: list[tuple[TeacherSpec, MultiTaskNet]] = []
    for teacher in spec.teachers:
        net = place(load_teacher(spec, teacher, objects, folder, trained), objects.train, device)
        for earlier, network in built:
            if _alike(earlier, teacher) and _equal(network.state_dict(), net.state_dict()):
                net = network
        built.append((teacher, net))
        own = objects.teachers.get(teacher.name)
        match = own.match if isinstance(own, TeacherConfig) else None
        teachers[teacher.name] = Teacher(
            teacher.name, net, teacher.tasks, match, teacher.sees, teacher.weight, teacher.size
        )
    return teachers


def _alike(one: TeacherSpec, other: TeacherSpec) -> bool:
    heads = (spec.tasks if spec.kind != FEATURES else () for spec in (one, other))
    return one.net == other.net and one.size == other.size and len(set(heads)) == 1


def _equal(tensors: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    return tensors.keys() == others.keys() and all(torch.equal(x, others[name]) for name, x in tensors.items())


def load_teacher(
    spec: RunSpec, teacher: TeacherSpec, objects: StudyConfig, folder: Path, trained: bool = True
) -> MultiTaskNet:
    """The network of one of a run's teachers.

    Args:
        spec: the run.
        teacher: one of `spec.teachers`.
        objects: of the run's config.
        folder: of the study.
        trained: load its weights.

    Raises:
        UserError: the weights are missing or another network's.
    """
    alone = teacher.kind == FEATURES
    with seeded(spec.seed, "random teacher", teacher.name):
        widths = {} if alone else {t: objects.tasks[t].width for t in teacher.tasks}
        net = build_net(teacher.key, teacher_net(objects, teacher), widths)
    if not trained or (teacher.run is None and teacher.file is None):
        return net
    if teacher.run is None:
        load_weights(net, Path(str(teacher.file)))
        return net
    path = folder / teacher.run / "student.safetensors"
    tensors = load_tensors(path)
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(
            f"{path}: expected the weights of this study's network for `{teacher.name}`, found another's; remove its "
            "run's folder"
        ) from error
    if fingerprint(tensors) != read_record(path.with_name("result.json"), "weights")["weights"]:
        raise UserError(f"{path}: expected the weights that its result.json names, found others; remove its run folder")
    return net


def build_net(key: str, net: MakeNet, widths: dict[str, int]) -> MultiTaskNet:
    """A network of the study.

    Args:
        key: where the study names it.
        net: builds it.
        widths: channels by task; none for a teacher by its features alone.

    Raises:
        UserError: whatever a network raises when it is built.
    """
    try:
        return net(widths)
    except Exception as error:  # whatever a network of the user's own raises
        hint = "" if widths else "; for `features` it is built without a task, as tutelage.nets.TappedModule can be"
        if isinstance(error, ValueError):
            raise UserError(f"{'' if key == 'net' else f'{key}: '}{one_line(error)}{hint}") from error
        raise UserError(
            f"{key}: expected a network that can be built of {widths}, found {type(error).__name__}: "
            f"{one_line(error)}{hint}"
        ) from error


def load_weights(net: MultiTaskNet, path: Path) -> None:
    """Load a network that was trained elsewhere: our safetensors, or a checkpoint of the authors.

    Raises:
        UserError: the file is missing, is neither, or is of another network.
    """
    if path.suffix != ".safetensors":
        if not isinstance(net, SegNet):
            raise UserError(
                f"{path}: expected a .safetensors file for a {type(net).__name__}, found another; the authors' "
                "checkpoints are of SegNet and MTAN"
            )
        return load_authors(net, path)
    try:
        net.load_state_dict(load_tensors(path, "give another file"))
    except RuntimeError as error:
        problem = one_line(error).removeprefix(f"Error(s) in loading state_dict for {type(net).__name__}: ")
        raise UserError(
            f"{path}: expected the weights of the study's network, found another's ({problem[:120]}); give `net` or "
            "`teacher_net` the arguments that it was trained with"
        ) from error


def load_tensors(path: Path, remedy: str = "remove its run folder") -> Mapping[str, Tensor]:
    """The tensors of a safetensors file.

    Args:
        path: of the file.
        remedy: what to do if it is missing or damaged.

    Raises:
        UserError: the file is missing or not one.
    """
    try:
        check_regular(path)
        tensors: Mapping[str, Tensor] = safetensors.torch.load_file(path)
    except UserError:
        raise
    except (OSError, MemoryError, safetensors.SafetensorError) as error:
        problem = str(error).split("\n")[0]
        raise UserError(f"{path}: expected a network saved by tutelage, found {problem}; {remedy}") from error
    return tensors


def place(net: MultiTaskNet, train: TrainConfig, device: torch.device) -> MultiTaskNet:
    """Put a network on a device, in the memory layout of the training."""
    return net.to(device).to(memory_format=train.memory_format)
