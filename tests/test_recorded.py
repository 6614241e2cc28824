"""Objects become the plain values that build equal ones; what cannot is refused in one line."""

import copy
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.train.fixture import Net
from torch import nn

from tutelage.balance import Aggregator
from tutelage.data import DataSource, DepthLabel, Folders, HoldOut, Rooms
from tutelage.data.folders import Label
from tutelage.distill import MLP, RBFCKA, Conv1x1, FeatureDistiller, NormalisedL2, TapMatch
from tutelage.errors import UserError
from tutelage.nets import EncoderDecoder, SegNet, TappedModule
from tutelage.recorded import Recorded, built_by, plain
from tutelage.tasks import Depth, Segmentation
from tutelage.train import Optim

PLAIN: dict[str, tuple[Any, Any]] = {
    "plain values stay": ({"a": [1, 2.5, None, True, "x"]}, {"a": [1, 2.5, None, True, "x"]}),
    "a tuple is a list": (((32, 48), range(2)), [[32, 48], [0, 1]]),
    "a path is text": (Path("a/b"), "a/b"),
    "keys that are numbers": ({7: 0}, {7: 0}),
    "numbers of numpy": ([np.int64(3), np.float32(0.5), np.bool_(True)], [3, 0.5, True]),
    "without arguments": (Depth(), {"class_path": "tutelage.tasks.Depth"}),
    "positions have names": (
        Segmentation(13),
        {"class_path": "tutelage.tasks.Segmentation", "init_args": {"classes": 13}},
    ),
    "an object in an object": (
        HoldOut(Rooms(train=8), 0.5),
        {
            "class_path": "tutelage.data.HoldOut",
            "init_args": {"source": {"class_path": "tutelage.data.Rooms", "init_args": {"train": 8}}, "part": 0.5},
        },
    ),
    "a class of ours by its public path": (SegNet, "tutelage.nets.SegNet"),
    "a class of torch by its public path": (torch.optim.AdamW, "torch.optim.AdamW"),
    "partial": (partial(SegNet, width=0.5), {"class_path": "tutelage.nets.SegNet", "init_args": {"width": 0.5}}),
    "partial without arguments": (partial(SegNet), {"class_path": "tutelage.nets.SegNet"}),
    "a function": (
        partial(nn.init.constant_, val=1.0),
        {"class_path": "torch.nn.init.constant_", "init_args": {"val": 1.0}},
    ),
    "a data class": (
        Optim(partial(torch.optim.SGD, lr=0.1)),
        {
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}},
            "scheduler": None,
            "interval": "epoch",
        },
    ),
    "a match of taps": (
        TapMatch("last", adaptor=partial(Conv1x1, init="xavier_normal"), distance=NormalisedL2(guard="add")),
        {
            "tap": "last",
            "adaptor": {"class_path": "tutelage.distill.Conv1x1", "init_args": {"init": "xavier_normal"}},
            "distance": {"class_path": "tutelage.distill.NormalisedL2", "init_args": {"guard": "add"}},
            "weight": 1.0,
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_plain_values(name: str) -> None:
    value, expected = PLAIN[name]
    found = plain(value, "key")
    assert found == expected
    assert repr(found) == repr(expected)  # True is not 1, and 3.0 is not 3


def test_a_data_class_that_is_an_object_keeps_its_arguments() -> None:
    source = Folders("kitchen", {"depth": Label("depth", DepthLabel(0.001))})
    labels = plain(source, "data")["init_args"]["labels"]
    kind = {"class_path": "tutelage.data.DepthLabel", "init_args": {"scale": 0.001}}
    assert labels == {"depth": {"folder": "depth", "kind": kind}}


def local() -> Callable[..., Any]:
    def net(widths: dict[str, int]) -> Net:
        return Net(widths)

    return net


class Several(Recorded):
    def __init__(self, *values: int) -> None: ...


REFUSED: dict[str, tuple[Any, str]] = {
    "a module": (nn.Conv2d(3, 4, 1), r"key: expected .* torch.nn.modules.conv.Conv2d; give what builds it"),
    "an array": ([np.zeros(2)], r"key\[0\]: expected .* found one of numpy.ndarray; give its tolist"),
    "a function within a function": ({"net": local()}, r"key.net: expected a class or .* found .*<locals>.net"),
    "a lambda": (lambda widths: widths, r"key: expected a class or .*<lambda>; define it at the top"),
    "a network": (
        SegNet({"depth": 1}, width=0.1),
        r"key: expected what builds a SegNet of widths, .* give functools.partial\(SegNet, width=0.1\)",
    ),
    "a network without arguments": (Conv1x1(3, 4), r"key: expected what builds a Conv1x1 .* give the class Conv1x1"),
    "a module within": (
        partial(TappedModule, module=nn.Identity(), taps={}),
        r"key.module: expected .* found one of torch.nn.modules.linear.Identity; give",
    ),
    "arguments of the study": (
        partial(FeatureDistiller, 1, match={}),
        r"key: expected arguments of tutelage.distill.FeatureDistiller by their names, found 1 without a name",
    ),
    "arguments without names": (Several(1, 2), r"key: expected arguments .* found 2 without a name for \*values"),
    "too many": (partial(Depth, 1, 2, 3, 4, 5), r"key: expected arguments of .*Depth .* too many positional"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_file_can_name_is_one_line(name: str) -> None:
    value, message = REFUSED[name]
    with pytest.raises(UserError, match=message) as error:
        plain(value, "key")
    assert "\n" not in str(error.value)


def test_copies_remember_too() -> None:
    net = SegNet({"depth": 1}, width=0.1)
    for again in (copy.deepcopy(net), copy.copy(net), pickle.loads(pickle.dumps(net))):
        assert built_by(again, "net") == {"class_path": "tutelage.nets.SegNet", "init_args": {"width": 0.1}}
    rooms: DataSource = pickle.loads(pickle.dumps(Rooms(train=8)))
    assert plain(rooms, "data")["init_args"] == {"train": 8}


def test_nothing_of_a_module_is_registered() -> None:
    inner = nn.Sequential(nn.Conv2d(3, 4, 1))
    net = TappedModule({"depth": 1}, inner, {"last": "0"}, heads="last")
    assert {name.split(".")[0] for name in net.state_dict()} == {"net", "heads"}
    assert copy.deepcopy(net)._arguments[0][1] is not inner  # a copy does not hold the module that it was copied from


def test_arguments_of_a_class_without_any_are_refused_as_before() -> None:
    class Empty(Recorded): ...

    assert isinstance(Empty(), Empty)
    with pytest.raises(TypeError, match=r"Empty\(\) takes no arguments"):
        Empty(1)


EXAMPLE = torch.zeros(1, 3, 32, 32)
WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a word": (lambda: Aggregator("Mean", where="representations"), "Aggregator.where: .* parameters, representation"),
    "by position": (lambda: Conv1x1(3, 3, "xavier"), "Conv1x1.init: expected one of xavier_normal, default, found `xa"),
    "beside a truth value": (
        lambda: FeatureDistiller(Net({"a": 1}), {}, EXAMPLE, {}, standardise="phi"),
        "FeatureDistiller.standardise: expected one of phi-s, found `phi`",
    ),
    "a number": (lambda: EncoderDecoder({"a": 1}, "resnet18", output_stride=4), "expected one of 8, 16, 32.*`4`"),
    "another type": (lambda: MLP(3, 3, norm=["layer"]), "MLP.norm: expected one of none, layer, found list"),
    "for a subclass": (lambda: Wide({"a": 1}, variant="wider"), "Wide.variant: expected one of standard, wide, deep"),
}


class Wide(SegNet): ...


@pytest.mark.parametrize("name", WRONG)
def test_a_word_that_a_class_does_not_know_is_one_line(name: str) -> None:
    build, message = WRONG[name]
    with pytest.raises(UserError, match=message):
        build()


def test_what_a_class_knows_is_taken() -> None:
    assert MLP(3, 3, norm="layer", activation="gelu") is not None
    assert RBFCKA(bandwidth=2.0).bandwidth == 2.0
    assert RBFCKA("median").bandwidth == "median"
    assert SegNet({"a": 1}, variant="deep", width=0.1) is not None
