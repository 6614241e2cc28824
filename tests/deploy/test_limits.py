"""What a file describes is compared with its tensors before anything of that size is built."""

import inspect
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

import pytest
import safetensors.torch
import torch
from tests.deploy.conftest import NETS, config, make
from torch import nn

import tutelage.nets
import tutelage.tasks
from tutelage.deploy import build, load
from tutelage.deploy.limits import check_value, no_larger_than
from tutelage.errors import UserError


def file(folder: Path, name: str, net: dict[str, Any] | None = None, **tasks: Any) -> Path:
    """The file of a network, with other arguments in its config, and more tasks or other ones."""
    values = json.loads(json.dumps(config(name, [32, 64])))
    values["net"]["init_args"] |= net or {}
    values["tasks"] |= tasks
    path = folder / "x.safetensors"
    metadata = {"format": "tutelage-predictor-1", "config": json.dumps(values)}
    safetensors.torch.save_file(make(name).net.state_dict(), path, metadata)
    return path


def numbers() -> Iterator[tuple[str, str, float]]:
    """Every argument of our networks that may be a number, and the largest one that it may be."""
    for name in NETS:
        kind = getattr(tutelage.nets, name)
        for argument, hint in get_type_hints(inspect.getattr_static(kind, "__init__")).items():
            members = get_args(hint) if isinstance(hint, UnionType) else (hint,)
            if float in members or int in members:
                yield name, argument, 1e15 if float in members else 2**20


# What changes no tensor: the file may say what it likes.
HARMLESS = [("CrossStitch", "alpha_same"), ("CrossStitch", "alpha_different"), ("DSelectK", "gamma"),
            ("DSelectK", "entropy_weight")]  # fmt: skip


@pytest.mark.parametrize(("name", "argument", "largest"), list(numbers()))
def test_the_largest_number_of_every_argument_ends_soon(
    name: str, argument: str, largest: float, tmp_path: Path
) -> None:
    path, began = file(tmp_path, name, {argument: largest}), time.monotonic()
    if (name, argument) in HARMLESS:
        load(path)
    else:
        with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: (net|weights): expected "):
            load(path)
    assert time.monotonic() - began < 30  # under 2 s on an idle machine; an hour without the limit
    path = file(tmp_path, name, {argument: largest * 1000})
    with pytest.raises(UserError, match=rf"net.{argument}: expected a number of at most "):
        load(path)


def task(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"tutelage.tasks.{name}", "init_args": arguments}


@pytest.mark.parametrize(
    ("tasks", "line"),
    [
        ({"segmentation": task("Segmentation", classes=10**7)}, "tasks.segmentation.classes: .* at most 1,048,576, "),
        ({"segmentation": task("Segmentation", classes=10**9)}, "tasks.segmentation.classes: .*found 1000000000"),
        ({"segmentation": task("Segmentation", classes=10**6)}, "weights: expected .*heads.segmentation"),
        ({"segmentation": task("Segmentation", classes=10**400)}, "tasks.segmentation.classes: .*found 1000000"),
        ({"more": task("MultiLabel", classes=10**9)}, "tasks.more.classes: expected a number"),
        ({"more": task("Regression", outputs=10**9)}, "tasks.more.outputs: expected a number"),
        ({"segmentation": task("Segmentation", classes="4")}, "tasks.segmentation.classes: expected int, found '4'"),
        ({"segmentation": task("Segmentation", classes=4.5)}, "tasks.segmentation.classes: expected int, found 4.5"),
        ({"depth": task("Depth", range="ab")}, r"tasks.depth.range: expected tuple\[float, float\], found 'ab'"),
        ({"depth": task("Depth", range=[float("nan"), 3])}, r"tasks.depth.range: expected tuple\[float, float\]"),
    ],
)
def test_a_task_is_no_larger_than_the_tensors(tasks: dict[str, Any], line: str, tmp_path: Path) -> None:
    path = file(tmp_path, "SegNet", **tasks)
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: {line}"):
        load(path)


def nested(levels: int) -> dict[str, Any]:
    return {"a": nested(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("net", "line"),
    [
        ({"encoder": ["resnet18"]}, r"net.encoder: expected str, found \['resnet18'\]"),
        ({"encoder": {"a": 1}}, r"net.encoder: expected str, found {'a': 1}"),
        ({"encoder_args": {"act_layer": {"class_path": "torch.nn.ReLU"}}}, "net.*act_layer: expected plain values, "),
        ({"encoder_args": {"channels": [2**20] * 4}}, "net: expected "),
        ({"encoder_args": {"layers": [2**20] * 4}}, "net: expected "),
        ({"encoder_args": nested(40)}, "net: expected at most 32 levels of keys and lists, found more"),
        ({"encoder_args": [[]]}, "net.encoder_args: expected "),
    ],
)
def test_an_argument_of_another_kind_is_named(net: dict[str, Any], line: str, tmp_path: Path) -> None:
    path = file(tmp_path, "EncoderDecoder", net)
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: {line}"):
        load(path)


@pytest.mark.parametrize("name", ["type", "forward", "train", "keys", "half", "__class__"])
def test_a_task_cannot_be_called_as_an_attribute_of_modules(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"tasks: expected names that torch.* no other use for, found `{name}`; rename"):
        load(file(tmp_path, "SegNet", **{name: task("Depth")}))


def test_a_size_has_no_more_pixels_than_a_picture_may_have() -> None:
    with pytest.raises(UserError, match=r"size: expected at most 89478485 pixels, found 100000 x 100000 = 10"):
        build({**config("SegNet", None), "size": [10**5, 10**5]})


def test_parts_and_numbers_are_counted_while_a_network_is_built() -> None:
    with no_larger_than({}), pytest.raises(UserError, match=r"found one of more than 501 parts, with `0` of Seq"):
        [nn.Sequential(nn.Identity()) for _ in range(10**9)]
    tensors, line = {"x": torch.zeros(10)}, r"1 tensors with 10 numbers fill, found .* numbers, with `weight` of Linear"
    with torch.device("meta"), no_larger_than(tensors), pytest.raises(UserError, match=line):
        nn.Linear(10**5, 10**5)
    nn.Sequential(*(nn.Identity() for _ in range(2000)))  # the limit has gone


@pytest.mark.parametrize("package", [tutelage.nets, tutelage.tasks])
def test_the_defaults_of_every_argument_fit_their_annotations(package: Any) -> None:
    for kind in (getattr(package, name) for name in package.__all__):
        if not isinstance(kind, type):
            continue
        hints = get_type_hints(inspect.getattr_static(kind, "__init__"))
        for name, parameter in inspect.signature(kind).parameters.items():
            if parameter.default is not parameter.empty and name in hints:
                check_value(parameter.default, hints[name], name)
