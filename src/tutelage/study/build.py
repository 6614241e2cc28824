"""From the objects of a run's config to what is trained: student, teachers, distiller, balancer, optimisers, images."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from tutelage.data import DataSource
from tutelage.distill import Teachers, labels_by_teacher
from tutelage.errors import UserError
from tutelage.layout import FEATURES
from tutelage.study.budget import method_of, stretch, training_config
from tutelage.study.config import Method, StudyConfig
from tutelage.study.plan import RunSpec
from tutelage.study.several import check_processes, smallest_part, synchronise
from tutelage.study.teachers import build_net, build_teachers, load_weights, place
from tutelage.study.validation import best_epoch, check_validation, make_callbacks
from tutelage.train import EpochSelection, Optimisers, Streams, TrainConfig, Training, process_count, seeded, select
from tutelage.types import Balancer, Distiller, MultiTaskNet, World

_IMAGES, _BATCH = 64, 8  # of a source, that the statistics of teachers are estimated on
_BATCHES = 64  # of training, that the statistics of a trained network are estimated on


def build_run(
    spec: RunSpec,
    objects: StudyConfig,
    folder: Path,
    device: torch.device,
    trained: bool = True,
    world: World | None = None,
) -> tuple[Training, Streams]:
    """The run at its first step, and the images that it trains on.

    Args:
        spec: the run.
        objects: of its config.
        folder: of the study.
        device: where everything is put.
        trained: False takes untrained teachers, to time a step or to find mistakes.
        world: the processes that train it together; None: this one alone.

    Raises:
        UserError: network, teachers, distiller and balancer do not fit each other.
    """
    train, method = training_config(spec, objects), method_of(objects)
    student = synchronise(build_student(spec, objects, train, device), world or World(), device)
    distiller = None
    if method.distiller is not None:
        distiller = _build_distiller(spec, objects, method, student, folder, device, trained)
    balancer = _build_balancer(spec, objects, method, student, distiller, device, trained)
    unlabelled = distiller is not None and distiller.teach == "all"
    chosen = select(objects.training_data, objects.tasks, unlabelled)
    streams = Streams(chosen, train.batch_size, train.epochs, train.accumulate, train.max_steps, balancer.draws)
    count = process_count(train.devices)
    check_processes(count, train, balancer, streams, student)
    if not trained:
        check_single_images(student, streams, device, [smallest_part(n, count, train) for n in streams.batch_sizes])
    if balancer.whole_step and train.accumulate > 1:
        raise UserError(
            f"train.accumulate: expected 1 with {type(balancer).__name__}, which needs all losses of a step at once, "
            f"found {train.accumulate}; raise batch_size instead"
        )
    optimisers = _build_optimisers(spec, objects, train, method, student, distiller, balancer, streams)
    selection = EpochSelection(last_batch=spec.task is not None) if train.official_quirks else None
    callbacks = make_callbacks(objects)
    if not trained:
        check_validation(objects)
    best = best_epoch(objects)
    return Training(student, distiller, balancer, optimisers, train.ema, selection, best, callbacks), streams


def build_student(spec: RunSpec, objects: StudyConfig, train: TrainConfig, device: torch.device) -> MultiTaskNet:
    """The network of a run, with its initial weights or those of its file."""
    # A teacher begins elsewhere than the student: were they to begin alike, their features would be near each other
    # without any distillation.
    with seeded(spec.seed, "net", spec.role):
        student = build_net(spec.key, objects.net, {t: task.width for t, task in objects.tasks.items()})
    if spec.file is not None:
        load_weights(student, Path(spec.file))
    return place(student, train, device)


def _build_distiller(
    spec: RunSpec,
    objects: StudyConfig,
    method: Method,
    student: MultiTaskNet,
    folder: Path,
    device: torch.device,
    trained: bool,
) -> Distiller:
    assert method.distiller is not None
    tasks, train = objects.tasks, objects.train
    load = trained and method.teachers == "trained"
    check_features(spec, method, None)
    teachers = build_teachers(spec, objects, folder, load, device)
    with seeded(spec.seed, "adaptors"):
        image = example(objects.training_data, tasks, device)
        try:
            distiller = method.distiller(student, teachers, image).to(device)
        except UserError as error:
            raise UserError(f"method.{spec.method}.distiller: {error}") from error
    check_features(spec, method, distiller)
    distiller.setup(tasks)
    images = partial(some_images, objects.training_data, device=device)
    if trained and method.teachers == "random":
        labels = labels_by_teacher(distiller)
        for name, teacher in teachers.items():
            estimate_norms(teacher.network, images(labels.get(name)))
    if trained:
        distiller.calibrate(images)
    if train.official_quirks:
        for module in distiller.modules():
            if isinstance(module, Teachers):
                module.train_as_the_authors()
    return distiller


def _build_balancer(
    spec: RunSpec,
    objects: StudyConfig,
    method: Method,
    student: MultiTaskNet,
    distiller: Distiller | None,
    device: torch.device,
    trained: bool,
) -> Balancer:
    balancer = method.balancer()
    output = None if trained else student.eval()(example(objects.training_data, objects.tasks, device))
    try:
        with seeded(spec.seed, "balancer"):
            balancer.setup(objects.tasks, student, distiller)
        balancer.to(device)
        if output is not None:  # to find mistakes: a network that the balancer cannot work with
            balancer.boundary(output)
    except UserError as error:
        where = "" if str(error).startswith("balancer") else "balancer: "
        raise UserError(f"method.{spec.method}.{where}{error}") from error
    return balancer


def _build_optimisers(
    spec: RunSpec,
    objects: StudyConfig,
    train: TrainConfig,
    method: Method,
    student: MultiTaskNet,
    distiller: Distiller | None,
    balancer: Balancer,
    streams: Streams,
) -> Optimisers:
    online = [] if distiller is None else [p for network in distiller.networks() for p in network.parameters()]
    beside = {id(p) for p in online}
    adaptors = [] if distiller is None else [p for p in distiller.parameters() if p.requires_grad]
    parts = {
        "student": (list(student.parameters()), train.student),
        "adaptors": ([p for p in adaptors if id(p) not in beside], method.adaptor_optim),
        "networks": (online, train.student),
        "balancer": (list(balancer.parameters()), method.balancer_optim),
    }
    rates = {} if method.lr is None else {"student": method.lr, "networks": method.lr}
    factor, scheduled = stretch(spec, objects), streams.length.scheduled
    return Optimisers(parts, train.epochs, scheduled, rates, factor, early=train.official_quirks)


def example(source: DataSource, tasks: Collection[str], device: torch.device) -> Tensor:
    """One training image with a label of one of `tasks`, [1, 3, H, W]."""
    stream = select(source, tasks)[0]
    return stream.samples[stream.index(0)]["image"][None].to(device)


def some_images(
    source: DataSource, tasks: Collection[str] | None, device: torch.device, count: int = _IMAGES, size: int = _BATCH
) -> Iterator[Tensor]:
    """Batches of at most `count` training images, evenly through every source.

    Args:
        source: the images.
        tasks: those with a label of one of these; None: all.
        device: where they go.
        count: images of every source, at most.
        size: of a batch.
    """
    for stream in select(source, tasks or (), everything=tasks is None):
        found = min(len(stream), count)
        images = (stream.samples[stream.index(i * len(stream) // found)]["image"] for i in range(found))
        first = next(images)
        alike = chain([first], (image for image in images if image.shape == first.shape))
        while batch := list(islice(alike, size)):  # in memory one at a time
            yield torch.stack(batch).to(device)


def check_single_images(net: MultiTaskNet, streams: Streams, device: torch.device, sizes: Sequence[int]) -> None:
    """Raise a UserError where a step takes a single image of a source that the network cannot be trained on alone.

    Args:
        net: the network.
        streams: the sources.
        device: where the network is.
        sizes: the fewest images of each source that the network sees together.
    """
    for stream, size in zip(streams.streams, sizes, strict=True):
        if size == 1:
            try:
                net.train()(stream.samples[stream.index(0)]["image"][None].to(device))
            except ValueError as error:
                if not str(error).startswith("Expected more than 1 value per channel"):  # torch's batch norm
                    raise
                raise UserError(
                    "train.batch_size: expected two images or more of every source, since batch norm has one value per "
                    "channel otherwise, found 1; raise it, or take a network with another norm"
                ) from error


def check_features(spec: RunSpec, method: Method, distiller: Distiller | None) -> None:
    """Raise a UserError where a run asks more of a teacher by its features alone than these.

    Args:
        spec: the run.
        method: of the run.
        distiller: as it was built; None: it is not yet.
    """
    for teacher in (teacher for teacher in spec.teachers if teacher.kind == FEATURES):
        if method.teachers == "random":
            problem = "can be untrained"
        elif teacher.tasks and distiller is not None and distiller.uses_predictions:
            problem = "predicts"
        else:
            continue
        raise UserError(
            f"teachers.{teacher.name}: expected a network that {problem}, as `{spec.method}` needs, found `features`; "
            "give a file, or leave that method out"
        )


def estimate_norms(net: MultiTaskNet, batches: Iterable[Tensor]) -> None:
    """Give batch norm the mean of the statistics of some batches.

    Running ones are of earlier weights. With those that an untrained network is built with, mean 0 and variance 1, the
    features of a deep one all but vanish.
    """
    update_bn(batches, net)


def norm_batches(objects: StudyConfig, train: TrainConfig, device: torch.device) -> Iterator[Tensor]:
    """The training images, as they are, that the batch norm of a trained network is estimated on."""
    size = train.batch_size
    for images in some_images(objects.training_data, None, device, _BATCHES * size, size):
        if len(images) > 1 or size == 1:  # a rest of one image has no variance of its own
            yield images.contiguous(memory_format=train.memory_format)
