"""From a run's config to the objects that are trained."""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from tutelage.data import DataSource
from tutelage.distill import Teachers
from tutelage.errors import UserError
from tutelage.nets import SegNet, load_authors
from tutelage.study.config import TEACHER
from tutelage.study.jobs import Job, features, teacher_folder, teacher_net
from tutelage.study.load import Study
from tutelage.study.messages import one_line
from tutelage.train import EpochSelection, Optimisers, Streams, Training, seeded, select
from tutelage.types import Distiller, MultiTaskNet, Teach

_IMAGES, _BATCH = 64, 8  # of a source, that the statistics of teachers are estimated on


def build(study: Study, job: Job, device: torch.device, trained: bool = True) -> tuple[Training, Streams]:
    """The run at its first step, and the images that it trains on.

    Args:
        study: of the run.
        job: the run.
        device: where everything is put.
        trained: False takes untrained teachers, to time a step or to find mistakes.
    """
    tasks, method, train = job.tasks(study), job.taught(study), job.training(study)
    layout = torch.channels_last if train.channels_last else torch.contiguous_format
    # A single-task network begins elsewhere than the student: were they to begin alike, their features would be
    # near each other without any distillation.
    with seeded(job.seed, "net", job.task or "student"):
        key = f"teacher_net.{job.task}" if job.method == TEACHER else "net"
        student = build_net(key, job.net(study), {t: task.width for t, task in tasks.items()})
    if (given := job.given(study)) is not None:
        load_given(student, given)
    _place(student, device, layout)
    distiller: Distiller | None = None
    if method.distiller is not None:
        load = trained and method.teachers == "trained"
        check_features(study, job, None)
        teachers = {t: _place(teacher(study, t, job.seed, load), device, layout) for t in tasks}
        with seeded(job.seed, "adaptors"):
            shown = example(study.config.data, tasks, device)
            try:
                distiller = method.distiller(student, teachers, shown).to(device)
            except ValueError as error:
                raise UserError(f"method.{job.method}.distiller: {error}") from error
        check_features(study, job, distiller)
        distiller.setup(tasks)
        images = partial(some_images, study.config.data, teach=distiller.teach, device=device)
        if trained and method.teachers == "random":
            for t, net in teachers.items():
                estimate_norms(net, images(t))
        if trained:
            distiller.calibrate(images)
        if train.official_quirks:
            for module in distiller.modules():
                if isinstance(module, Teachers):
                    module.train_as_the_authors()
    balancer = method.balancer()
    output = None if trained else student.eval()(example(study.config.data, tasks, device))
    try:
        with seeded(job.seed, "balancer"):
            balancer.setup(tasks, student, distiller)
        balancer.to(device)
        if output is not None:  # to find mistakes: a network that the balancer cannot work with
            balancer.boundary(output)
    except ValueError as error:
        where = "" if str(error).startswith("balancer") else "balancer: "
        raise UserError(f"method.{job.method}.{where}{error}") from error
    unlabelled = distiller is not None and distiller.teach == "all"
    chosen = select(study.config.data, tasks, unlabelled)
    streams = Streams(chosen, train.batch_size, train.epochs, train.accumulate, train.max_steps, balancer.draws)
    if not trained:
        check_single_images(student, streams, device)
    if balancer.whole_step and train.accumulate > 1:
        raise UserError(
            f"train.accumulate: expected 1 with {type(balancer).__name__}, which needs all losses of a step at once, "
            f"found {train.accumulate}; raise batch_size instead"
        )
    adaptors = [] if distiller is None else [p for p in distiller.parameters() if p.requires_grad]
    parts = {
        "student": (list(student.parameters()), train.student),
        "adaptors": (adaptors, method.adaptor_optim),
        "balancer": (list(balancer.parameters()), method.balancer_optim),
    }
    rates = {} if method.lr is None else {"student": method.lr}
    optimisers = Optimisers(
        parts, train.epochs, streams.length.scheduled, rates, job.stretch(study), early=train.official_quirks
    )
    selection = EpochSelection(last_batch=job.task is not None) if train.official_quirks else None
    return Training(student, distiller, balancer, optimisers, train.ema, selection), streams


def example(source: DataSource, tasks: Collection[str], device: torch.device) -> Tensor:
    """One training image with a label of one of `tasks`, [1, 3, H, W]."""
    stream = select(source, tasks)[0]
    return stream.samples[stream.index(0)]["image"][None].to(device)


def some_images(source: DataSource, task: str, teach: Teach, device: torch.device) -> Iterator[Tensor]:
    """Batches of a few training images that the teacher of `task` sees, at even distances through every source."""
    for stream in select(source, [task], everything=teach == "all"):
        count = min(len(stream), _IMAGES)
        indices = [stream.index(i * len(stream) // count) for i in range(count)]
        images = [stream.samples[index]["image"].to(device) for index in indices]
        alike = [image for image in images if image.shape == images[0].shape]
        for begin in range(0, len(alike), _BATCH):
            yield torch.stack(alike[begin : begin + _BATCH])


def check_single_images(net: MultiTaskNet, streams: Streams, device: torch.device) -> None:
    """Raise a ValueError where a step takes a single image of a source that the network cannot be trained on alone."""
    for stream, size in zip(streams.streams, streams.batch_sizes, strict=True):
        if size == 1:
            try:
                net.train()(stream.samples[stream.index(0)]["image"][None].to(device))
            except ValueError as error:
                raise UserError(one_line(error)) from error


def teacher(study: Study, task: str, seed: int, trained: bool = True) -> MultiTaskNet:
    """The network that teaches a task: the single-task one, or of a kind of its own."""
    alone = features(study, task)
    with seeded(seed, "random teacher", task):
        key = f"teacher_net.{task}" if task in study.config.teacher_net else "net"
        net = build_net(key, teacher_net(study, task), {} if alone else {task: study.config.tasks[task].width})
    if trained and not alone:
        path = teacher_folder(study, task, seed) / "student.safetensors"
        try:
            net.load_state_dict(load_tensors(path))
        except RuntimeError as error:
            raise UserError(
                f"{path}: expected the weights of this study's network for `{task}`, found another's; remove its run's "
                "folder"
            ) from error
    return net


def build_net(key: str, make: Callable[[dict[str, int]], MultiTaskNet], widths: dict[str, int]) -> MultiTaskNet:
    """A network of the study.

    Args:
        key: where the study names it.
        make: of the study.
        widths: channels by task; none for features alone.

    Raises:
        ValueError: whatever a network raises when it is built.
    """
    try:
        return make(widths)
    except Exception as error:  # whatever a network of the user's own raises
        hint = "" if widths else "; for `features` it is built without a task, as tutelage.nets.TappedModule can be"
        if isinstance(error, ValueError):
            raise UserError(f"{'' if key == 'net' else f'{key}: '}{one_line(error)}{hint}") from error
        raise UserError(
            f"{key}: expected a network that can be built of {widths}, found {type(error).__name__}: "
            f"{one_line(error)}{hint}"
        ) from error


def check_features(study: Study, job: Job, distiller: Distiller | None) -> None:
    """Raise a ValueError where a run asks more of a teacher of features alone than these.

    Args:
        study: of the run.
        job: the run.
        distiller: as it was built; None: it is not yet.
    """
    for t in (t for t in study.config.tasks if features(study, t)):
        if job.taught(study).teachers == "random":
            problem = "can be untrained"
        elif distiller is not None and distiller.uses_predictions:
            problem = "predicts"
        else:
            continue
        raise UserError(
            f"teachers.{t}: expected a network that {problem}, as `{job.method}` needs, found `features`; give a file, "
            "or leave that method out"
        )


def estimate_norms(net: MultiTaskNet, batches: Iterable[Tensor]) -> None:
    """Give the batch norm of an untrained network the statistics of some images.

    With those that it is made with, mean 0 and variance 1, the features of a deep network all but vanish.
    """
    update_bn(batches, net)


def load_given(net: MultiTaskNet, path: Path) -> None:
    """Load a single-task network that was trained elsewhere: our safetensors, or a checkpoint of the authors.

    Raises:
        ValueError: the file is missing, is neither, or is of another network.
    """
    if path.suffix != ".safetensors":
        if not isinstance(net, SegNet):
            raise UserError(
                f"{path}: expected a .safetensors file for a {type(net).__name__}, found another; the authors' "
                "checkpoints are of SegNet and MTAN"
            )
        return load_authors(net, path)
    try:
        net.load_state_dict(load_tensors(path))
    except RuntimeError as error:
        problem = one_line(error).removeprefix(f"Error(s) in loading state_dict for {type(net).__name__}: ")
        raise UserError(
            f"{path}: expected the weights of the study's network, found another's ({problem[:120]}); give `net` or "
            "`teacher_net` the arguments that it was trained with"
        ) from error


def _place(net: MultiTaskNet, device: torch.device, layout: torch.memory_format) -> MultiTaskNet:
    return net.to(device).to(memory_format=layout)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        ValueError: the file is missing or not one.
    """
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        problem = str(error).split("\n")[0]
        raise UserError(
            f"{path}: expected a network saved by tutelage, found {problem}; remove its run folder"
        ) from error
