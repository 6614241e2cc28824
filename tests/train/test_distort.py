"""`train.distort`: networks that are trained see other pixels; labels, frozen teachers and evaluation do not notice."""

from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from tests.study.conftest import Notes, overlaid, tiny
from tests.train.fixture import MODALITIES, TASKS, Images, Net, Run, streams_of
from torch import Tensor, nn
from torchvision import transforms
from torchvision.transforms import v2

from tutelage.data import Augment
from tutelage.distill import OnlineDistiller
from tutelage.errors import UserError
from tutelage.study import check_data, plan, run_study
from tutelage.train import Distortion, Stream, TrainConfig, seeded, training_loader
from tutelage.types import Batch, World

JITTER = partial(v2.ColorJitter, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)


class Second(World):
    size, rank = 2, 1


Maker = Callable[[], nn.Module]


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def batches(*makers: Maker, seed: int = 0, start: int = 0, workers: int = 0, world: World | None = None) -> list[Batch]:
    augment = Augment(scales=[1.0])
    config = TrainConfig(2, batch_size=2, workers=workers, augment=augment, distort=list(makers or [JITTER]))
    streams = streams_of([Stream(Images(), MODALITIES, "images")], config)
    return list(training_loader(streams, TASKS, config, seed, start, world))


def shown(of: list[Batch]) -> dict[tuple[int, int], Tensor]:
    """(epoch, index) -> what a student sees."""
    return {(v.epoch, v.index): x for batch in of for v, x in zip(batch.views, batch.shown, strict=True)}


def test_the_images_stay_as_they_are_and_what_students_see_differs_in_every_epoch() -> None:
    plain = TrainConfig(epochs=2, batch_size=2, augment=Augment(scales=[1.0]))
    streams = streams_of([Stream(Images(), MODALITIES, "images")], plain)
    distorted = batches()
    for a, b in zip(distorted, training_loader(streams, TASKS, plain, 0), strict=True):
        assert torch.equal(a.images, b.images)
        assert a.views == b.views
        assert all(view.exact for view in a.views)  # so that a teacher's cache stays valid
        assert b.shown is b.images
        assert (a.shown - a.images).abs().mean(dim=(1, 2, 3)).min() > 0.005
        assert 0 <= a.shown.min() <= a.shown.max() <= 1
    seen = shown(distorted)
    images = {(v.epoch, v.index): (v, x) for b in distorted for v, x in zip(b.views, b.images, strict=True)}
    assert len(seen) == 24
    for i in range(12):
        (first, x), (second, y) = images[0, i], images[1, i]
        same = y if first.flipped == second.flipped else y.flip(2)
        assert torch.equal(x, same)
        assert not torch.equal(seen[0, i], seen[1, i] if first.flipped == second.flipped else seen[1, i].flip(2))


@pytest.mark.parametrize("how", ["again", "resumed", "workers", "two processes"])
def test_what_a_student_sees_depends_on_seed_epoch_and_image_alone(how: str) -> None:
    whole = shown(batches())
    other = {
        "again": lambda: batches(),
        "resumed": lambda: batches(start=5),
        "workers": lambda: batches(workers=2),
        "two processes": lambda: batches(world=Second()),
    }[how]()
    part = shown(other)
    assert len(part) == {"resumed": 14, "two processes": 12}.get(how, 24)
    assert all(torch.equal(image, whole[key]) for key, image in part.items())


def test_seeds_draw_differently_and_nothing_else_draws_differently_for_it() -> None:
    states = []
    for makers in ((JITTER,), (nn.Identity,)):
        with seeded("loader"):
            first = shown(batches(*makers))
            states.append(torch.get_rng_state())
    assert torch.equal(*states)  # the loader draws one number, and distortion none
    first, second = shown(batches()), shown(batches(seed=1))
    assert not any(torch.equal(image, second[key]) for key, image in first.items())


def test_augmentations_of_single_samples_are_distorted_alike() -> None:
    class Singly(Augment):
        def __call__(self, sample, modalities, generator):
            return super().__call__(sample, modalities, generator)

    config = TrainConfig(epochs=2, batch_size=2, augment=Singly(scales=[1.0]), distort=[JITTER])
    streams = streams_of([Stream(Images(), MODALITIES, "images")], config)
    whole = shown(batches())
    part = shown(list(training_loader(streams, TASKS, config, 0)))
    assert len(part) == 24
    assert all(torch.equal(image, whole[key]) for key, image in part.items())


def test_several_follow_each_other_and_the_result_is_an_image() -> None:
    for batch in batches(Double):
        assert torch.equal(batch.shown, (2 * batch.images).clamp(0, 1))
    for batch in batches(Double, partial(v2.GaussianBlur, 3)):
        assert not torch.equal(batch.shown, (2 * batch.images).clamp(0, 1))
        assert batch.shown.max() <= 1


class Tint(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


@pytest.mark.parametrize("workers", [0, 1])
def test_a_module_may_have_parameters_which_nothing_trains(workers: int) -> None:
    for batch in batches(Tint, workers=workers):
        assert torch.equal(batch.shown, batch.images / 2)
        assert not batch.shown.requires_grad


def test_a_module_may_work_in_place() -> None:
    erased = batches(partial(v2.RandomErasing, 1.0, value=0.5, inplace=True))
    for a, b in zip(erased, batches(), strict=True):
        assert torch.equal(a.images, b.images)
        assert not torch.equal(a.shown, a.images)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="a GPU makes its batches itself")
def test_on_a_gpu_modules_are_where_the_images_are() -> None:
    images = torch.rand(2, 3, 8, 12, device="cuda")
    assert torch.equal(Distortion([Tint])(images, [0, 1]), images / 2)
    one, other = (Distortion([JITTER, partial(v2.GaussianNoise, 0.0, 0.1)])(images, [4, 5]) for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(one, images)


class Watched(Net):
    """Keeps what it sees in training, and every one of them."""

    made: ClassVar[list["Watched"]] = []

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[Tensor] = []
        self.made.append(self)

    def forward(self, images: Tensor, tasks=None):
        self.seen.append(images)
        return super().forward(images, tasks)


@pytest.mark.parametrize("online", [False, True])
def test_the_student_sees_them_and_a_frozen_teacher_the_images(online: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.train.fixture.Net", Watched)
    monkeypatch.setattr(Watched, "made", [])
    config = TrainConfig(epochs=1, batch_size=4, distort=[JITTER])

    def distiller(student, teachers, example):
        return OnlineDistiller(student, teachers, example, {"last": "last"})

    run = Run(config, **({"distiller": distiller} if online else {}))
    training = run.build()
    student, *teachers = Watched.made
    assert training.student is student
    assert len(teachers) == len(TASKS)
    for net in Watched.made:
        net.seen.clear()  # the examples of the distiller
    run.fit(training)
    loaded = list(training_loader(run.streams(config), TASKS, config, 7))
    assert len(loaded) == 3
    for number, batch in enumerate(loaded):
        assert torch.equal(student.seen[number], batch.shown)
        for teacher in teachers:
            assert torch.equal(teacher.seen[number], batch.shown if online else batch.images)


@pytest.mark.parametrize(
    ("maker", "message"),
    [
        (
            v2.RandomHorizontalFlip,
            "leaves every pixel at its place.*found RandomHorizontalFlip; crops and flips belong",
        ),
        (partial(v2.RandomAffine, 10), "leaves every pixel at its place.*found RandomAffine"),
        (
            partial(nn.Sequential, v2.RandomHorizontalFlip()),
            "leaves every pixel at its place.*found RandomHorizontalFlip",
        ),
        (partial(v2.Compose, [v2.RandomRotation(9)]), "leaves every pixel at its place.*found Compose"),
        (v2.RandAugment, "leaves every pixel at its place.*found RandAugment"),
        (
            transforms.RandomHorizontalFlip,
            r"of torchvision.transforms.v2, .*, found torchvision.transforms.RandomHorizontalFlip; take "
            r"torchvision.transforms.v2.RandomHorizontalFlip",
        ),
        (partial(v2.RandomCrop, 4), r"RandomCrop to return what it is given, \(3, 8, 12\) of .*, found \(3, 4, 4\)"),
        (partial(v2.Grayscale, 1), r"Grayscale to return what it is given, .*, found \(1, 8, 12\)"),
        (partial(v2.ToDtype, torch.uint8, scale=True), r"found \(3, 8, 12\) of torch.uint8"),
        (partial(v2.GaussianBlur, 4), "a module that can be built, found ValueError: Kernel size value"),
        (partial(nn.Conv2d, 4, 3, 1), r"Conv2d to take an image \(3, 8, 12\), found RuntimeError: "),
        (Pair, "Pair to return what it is given, .*, found tuple"),
    ],
)
def test_what_is_no_distortion_is_refused(maker: Maker, message: str) -> None:
    with pytest.raises(UserError, match=rf"train\.distort\[1\]: expected .*{message}"):
        Distortion([JITTER, maker]).check((8, 12))


@pytest.mark.parametrize(
    "maker",
    [
        JITTER,
        partial(v2.RandomGrayscale, 0.5),
        partial(v2.GaussianBlur, 3),
        partial(v2.GaussianNoise, 0.0, 0.1),
        partial(v2.RandomErasing, 0.5),
        partial(v2.RandomErasing, 1.0, inplace=True),
        partial(v2.Lambda, torch.sqrt),
        partial(v2.RandomPhotometricDistort, p=1.0),
        Double,
    ],
)
def test_what_leaves_pixels_at_their_places_passes(maker: Maker) -> None:
    Distortion([maker]).check((8, 12))


OVERLAY = """
train:
  distort:
    - {class_path: torchvision.transforms.v2.ColorJitter, init_args: {brightness: 0.4, hue: 0.1}}
    - {class_path: torchvision.transforms.v2.RandomGrayscale, init_args: {p: 0.2}}
"""


def test_a_study_names_them_and_trains_every_network_with_them(tmp_path: Path) -> None:
    study = overlaid(tmp_path / "run", OVERLAY, "--methods", "recommended")
    assert [type(module) for module in Distortion(study.objects.train.distort).modules] == [
        v2.ColorJitter,
        v2.RandomGrayscale,
    ]
    plain = tiny(tmp_path / "plain", "--methods", "recommended")
    for one in (study, plain):
        run_study(one, Notes())
    for spec in plan(study.values):
        file = f"{spec.id}/student.safetensors"
        a, b = (load_file(folder / file) for folder in (study.folder, plain.folder))
        assert any(not torch.equal(x, b[name]) for name, x in a.items())


def test_a_study_refuses_what_moves_pixels_before_it_trains(tmp_path: Path) -> None:
    study = tiny(
        tmp_path / "run",
        "--train.distort",
        "[{class_path: torchvision.transforms.v2.RandomHorizontalFlip}]",
    )
    with pytest.raises(UserError, match=r"train\.distort\[0\]: .*found RandomHorizontalFlip"):
        check_data(study, Console(file=StringIO()), write=False)
