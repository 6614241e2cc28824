"""A distiller in a loop of one's own takes plain tensors, and says in one line what it cannot take."""

from typing import Any

import pytest
import torch
from tests.distill.tiny import Tiny, batch, student, teachers
from torch import nn

from tutelage.data import Rooms
from tutelage.deploy import Predictor
from tutelage.distill import FeatureDistiller, LogitDistiller, SumDistiller, Teacher
from tutelage.errors import UserError
from tutelage.tasks import Depth
from tutelage.types import Batch

MATCH = {"last": "last"}


def feature(net: Tiny, **arguments: Any) -> FeatureDistiller:
    torch.manual_seed(0)
    return FeatureDistiller(net, teachers(), torch.rand(1, 3, 4, 6), MATCH, **arguments)


def test_images_alone_are_a_batch_without_labels() -> None:
    net, images = student(), batch().images
    output = net(images)
    distiller = feature(net)
    terms, same = distiller(images, output), distiller(Batch(images), output)
    assert terms.keys() == {"colour", "height"}
    assert all(torch.equal(terms[t].sum, same[t].sum) and terms[t].count == same[t].count == 2 for t in terms)


def test_the_parts_of_a_sum_take_them_too() -> None:
    net = student()

    def part(*arguments: Any) -> FeatureDistiller:
        return FeatureDistiller(*arguments, match=MATCH)

    distiller = SumDistiller(net, teachers(), torch.rand(1, 3, 4, 6), [part])
    images = batch().images
    assert distiller(images, net(images)).keys() == {"colour", "height"}


RESNET = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
WRONG: dict[str, tuple[Any, str]] = {
    "a module as teacher": (
        lambda: FeatureDistiller(student(), {"colour": RESNET}, torch.rand(1, 3, 4, 6), MATCH),
        r"teachers\['colour'\]: expected a network with taps, found Sequential; wrap it: tutelage.nets.TappedModule\("
        r"\{'colour': CHANNELS\}, network, taps=\{'last': PATH\}\) with the path of a submodule \(0, 1\)",
    ),
    "the same in a Teacher": (
        lambda: Teacher("colour", RESNET, ()),
        r"teachers\['colour'\]: expected a network with taps, found Sequential; wrap it: .*TappedModule\(\{\}, network",
    ),
    "a predictor as teacher": (
        lambda: feature_of({"height": Predictor(Tiny({"height": 1}), {"height": Depth()})}),
        r"teachers\['height'\]: expected a network with taps, found Predictor; give its network, its `.net`",
    ),
    "a name as teacher": (
        lambda: feature_of({"height": "resnet18"}),
        r"teachers\['height'\]: expected a network with taps, found str; give a tutelage.types.MultiTaskNet",
    ),
    "a module as student": (
        lambda: FeatureDistiller(RESNET, teachers(), torch.rand(1, 3, 4, 6), MATCH),
        r"student: expected a network with taps, found Sequential; wrap it: ",
    ),
    "tensors as output": (
        lambda: feature(student())(batch().images, {"colour": torch.rand(2)}),
        r"output: expected the tutelage.types.Output of the student, a network with taps, found dict; wrap",
    ),
    "one image": (
        lambda: feature(student())(torch.rand(3, 4, 6), student()(batch().images)),
        r"images: expected \[B, 3, H, W\], found \[3, 4, 6\]",
    ),
    "a list of images": (
        lambda: feature(student())([torch.rand(3, 4, 6)], student()(batch().images)),
        r"images: expected a tensor or a tutelage.types.Batch, found list",
    ),
    "images where labels choose them": (
        lambda: feature(student(), teach="own")(batch().images, student()(batch().images)),
        r"images: expected a tutelage.types.Batch for FeatureDistiller, since `teach: own` .* give a Batch",
    ),
    "predictions without tasks": (
        lambda: LogitDistiller(student(), teachers(), batch().images)(batch().images, student()(batch().images)),
        r"LogitDistiller: expected the task `colour`, .* call its setup",
    ),
}  # fmt: skip


def feature_of(given: dict[str, Any]) -> FeatureDistiller:
    return FeatureDistiller(student(), given, torch.rand(1, 3, 4, 6), MATCH)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_object_is_one_line(name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises(UserError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_a_batch_needs_its_images_alone() -> None:
    sample = Rooms(train=1, test=1, size=(32, 48)).split("train")[0]
    made = Batch(sample["image"][None])
    assert (made.targets, made.views, made.labelled) == ({}, (), {})
