"""A task whose labels vary in size needs a file of its own and nothing else: boxes, of any number per image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from tests.train.fixture import MODALITIES, Net, streams_of
from tests.train.fixture import TASKS as DENSE
from tests.train.fixture import Images as DenseImages
from torch import Tensor
from torch.utils.data import Dataset
from torchmetrics import Metric

from tutelage.balance import Uniform
from tutelage.data import Augment, FromDataset, Modality, Window
from tutelage.distill import FeatureDistiller
from tutelage.errors import UserError
from tutelage.images import Size
from tutelage.tasks import Depth
from tutelage.train import (
    Optim,
    Optimisers,
    PartialStep,
    Stream,
    TrainConfig,
    Training,
    evaluate,
    fit,
    make_batch,
    training_loader,
    training_step,
)
from tutelage.types import MetricInfo, MetricProtocol, Picture, Sample, Task, Term


@dataclass
class BoxTarget:
    """Boxes [N_i, 4] of image i; None: nobody looked for boxes. An image without a box has N_i = 0."""

    boxes: list[Tensor | None]

    def to(self, device: torch.device, non_blocking: bool = False) -> Self:
        return replace(self, boxes=[None if b is None else b.to(device, non_blocking=non_blocking) for b in self.boxes])

    def labelled(self) -> Tensor:
        return torch.tensor([b is not None for b in self.boxes])

    def count(self) -> Tensor:
        return self.labelled().sum()


class Boxes(Task[BoxTarget]):
    """Predicts the mean box of an image. loss = sum over labelled images of sum_b |z_i - box_b|."""

    width, dense, main, regression = 4, False, "error", True
    metric_info = {"error": MetricInfo("", higher_is_better=False)}

    def collate(self, labels: Sequence[Tensor | None], images: Tensor) -> BoxTarget:
        return BoxTarget(list(labels))

    def activate(self, raw: Tensor) -> Tensor:
        return raw.float().flatten(2).mean(2)

    def loss(self, raw: Tensor, target: BoxTarget) -> Term:
        means = self.activate(raw)
        errors = [(means[i] - boxes).abs().sum() for i, boxes in enumerate(target.boxes) if boxes is not None]
        return Term(sum(errors, start=means.sum() * 0), target.count())

    def metrics(self, protocol: MetricProtocol) -> Metric:
        return BoxError()

    def draw(self, value: Tensor, valid: Tensor | None = None) -> Picture:
        return np.zeros((1, 1, 3), np.uint8)


class BoxError(Metric):
    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: BoxTarget) -> None:
        for mean, boxes in zip(prediction, target.boxes, strict=True):
            if boxes is not None:
                self.total, self.images = self.total + (mean - boxes).abs().sum(), self.images + 1

    def compute(self) -> dict[str, Tensor]:
        return {"error": self.total / self.images}


TASKS: dict[str, Task] = {"boxes": Boxes(), "depth": DENSE["depth"]}


class Images(DenseImages):
    """Image i has i % 4 boxes; every fifth has no label of boxes."""

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        del sample["labels"]["segmentation"]
        if index % 5:
            generator = torch.Generator().manual_seed(100 + index)
            sample["labels"]["boxes"] = torch.rand(index % 4, 4, generator=generator)
        return sample


def build(teach: str = "own") -> Training:
    torch.manual_seed(0)
    student = Net({t: task.width for t, task in TASKS.items()})
    teachers = {t: Net({t: task.width}) for t, task in TASKS.items()}
    example = Images()[0]["image"][None]
    distiller = FeatureDistiller(student, teachers, example, {"last": "last"}, teach=teach)
    distiller.setup(TASKS)
    balancer = Uniform()
    balancer.setup(TASKS, student, distiller)
    parts = {"student": (list(student.parameters()), Optim()), "adaptors": (list(distiller.parameters()), Optim())}
    return Training(student, distiller, balancer, Optimisers(parts, 1, 2))


def step(groups: list[list[int]]) -> tuple[dict[str, Tensor | None], list[PartialStep]]:
    run, images = build(), Images()
    parts = [[make_batch([images[i] for i in group], TASKS)] for group in groups]
    reduces = PartialStep.split(parts, run.distiller)
    for part, reduce in zip(parts, reduces, strict=True):
        training_step(part, run.student, TASKS, run.distiller, run.balancer, reduce)
    return {name: p.grad for name, p in run.student.named_parameters()}, reduces


def test_a_batch_says_which_images_have_a_label() -> None:
    images = Images()
    batch = make_batch([images[i] for i in (0, 1, 4, 5)], TASKS)
    assert batch.labelled["boxes"].tolist() == [False, True, True, False]  # image 4 was looked at and has no box
    assert [None if b is None else len(b) for b in batch.targets["boxes"].boxes] == [None, 1, 0, None]
    assert "boxes" not in make_batch([images[0], images[5]], TASKS).targets
    moved = batch.to(torch.device("meta"))
    assert moved.targets["boxes"].boxes[1].device.type == "meta"
    assert moved.labelled["boxes"].tolist() == [False, True, True, False]


def test_accumulated_parts_give_the_gradient_of_the_whole_step() -> None:
    whole, (one,) = step([[0, 1, 2, 3, 5, 7]])
    split, parts = step([[0, 5], [1, 2], [3, 7]])
    for name, gradient in whole.items():
        assert (gradient is None) == (split[name] is None)
        if gradient is not None:
            torch.testing.assert_close(split[name], gradient, rtol=1e-5, atol=1e-7, msg=name)
    assert all(int(reduce.counts["boxes"]) == 4 == int(reduce.taught["boxes"]) for reduce in (one, *parts))
    assert ["boxes" in reduce.labelled for reduce in parts] == [False, True, True]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("teach", ["all", "own"])
def test_two_steps_of_training_and_an_evaluation(teach: str, accumulate: int) -> None:
    run, fabric = build(teach), Fabric(accelerator="cpu", devices=1, precision="32-true")
    before = [p.clone() for p in run.student.parameters()]
    config = TrainConfig(max_steps=2, batch_size=4 // accumulate, accumulate=accumulate, observe_steps=1)
    streams = streams_of([Stream(Images(), MODALITIES)], config)
    loader = training_loader(streams, TASKS, config, seed=0)
    fit(fabric, run, TASKS, loader, config, streams.length, seed=0)
    assert run.step == 2
    assert all(not torch.equal(p, q) for p, q in zip(run.student.parameters(), before, strict=True))

    images = Images()
    batches = [make_batch([images[i] for i in group], TASKS) for group in ([0, 5], [1, 4, 10], [3])]
    value = evaluate(fabric, run.result, TASKS, batches)["dataset"]["boxes"]["error"]
    with torch.no_grad():
        means = {i: run.result.eval()(images[i]["image"][None]).predictions["boxes"].mean((2, 3)) for i in (1, 3, 4)}
    errors = [float((mean - images[i]["labels"]["boxes"]).abs().sum()) for i, mean in means.items()]
    assert value == pytest.approx(sum(errors) / 3, rel=1e-5)


class BoxesLabel(Modality):
    """Boxes [N, 4] as (left, top, right, bottom) in pixels, which move with the image and are cut off at its edges."""

    dense = False

    def convert(self, array: np.ndarray, mode: str, where: str) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).reshape(-1, 4)

    def resize(self, x: Tensor, image: Size, size: Size) -> Tensor:
        return x * torch.tensor([size[1] / image[1], size[0] / image[0]] * 2)

    def view(self, x: Tensor, window: Window) -> Tensor:
        x = self.resize(x - torch.tensor([window.left, window.top] * 2), window.size, window.image)
        height, width = window.image
        left, top, right, bottom = x.clamp(min=0).minimum(torch.tensor([width, height] * 2)).unbind(1)
        if window.mirrored:
            left, right = width - right, width - left
        return torch.stack([left, top, right, bottom], 1)[(left < right) & (top < bottom)]


class Rectangles(Dataset[dict]):
    """Image i shows one bright rectangle, and its label is the rectangle."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict:
        left, top, right, bottom = 8 + 4 * index, 4 + 4 * index, 32 + 8 * index, 24 + 4 * index
        image = np.zeros((48, 96, 3), np.uint8)
        image[top:bottom, left:right] = 255
        return {"image": image, "labels": {"boxes": [[left, top, right, bottom]]}}


def assert_around_the_bright_pixels(sample: Sample) -> None:
    """The box of a sample lies around its bright pixels, to within a pixel."""
    rows, columns = (sample["image"][0] > 0.5).nonzero().unbind(1)
    boxes = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]] if len(rows) else []
    bright = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    torch.testing.assert_close(sample["labels"]["boxes"], bright, rtol=0, atol=1.0)


@pytest.mark.parametrize("size", [None, (24, 32)])
def test_boxes_follow_their_image_when_it_is_resized_mirrored_and_enlarged(size: Size | None) -> None:
    source = FromDataset(Rectangles(), {"boxes": BoxesLabel()}, Rectangles(), size=size)
    for index in range(4):
        sample = source.split("train")[index]
        assert_around_the_bright_pixels(sample)
        mirrored = Augment(scales=[1.0], flip=1)(sample, source.modalities, torch.Generator())
        assert_around_the_bright_pixels(mirrored)
        assert not torch.equal(mirrored["labels"]["boxes"], sample["labels"]["boxes"])
        for seed in range(8):
            generator = torch.Generator().manual_seed(seed)
            assert_around_the_bright_pixels(Augment(scales=[1.5])(sample, source.modalities, generator))


def test_a_label_of_varying_size_that_no_augmentation_can_move_is_refused() -> None:
    class Fixed(BoxesLabel):
        view = Modality.view

    sample = FromDataset(Rectangles(), {"boxes": Fixed()}, Rectangles()).split("train")[0]
    with pytest.raises(UserError, match=r"^train.augment: expected Fixed to define `view`, .*; found none; write it"):
        Augment()(sample, {"boxes": Fixed()}, torch.Generator())


def test_predictions_of_such_a_task_cannot_be_distilled_unless_it_says_how() -> None:
    raw = torch.zeros(1, 4, 2, 2)
    with pytest.raises(ValueError, match=r"^Boxes: expected a `distillation_loss`, .* found none; write it"):
        TASKS["boxes"].distillation_loss(raw, raw)
    assert Depth().distillation_loss(raw[:, :1], raw[:, :1]).count == 4
