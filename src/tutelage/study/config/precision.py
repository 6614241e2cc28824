"""The precision that `auto` stands for: one for all runs of a study, wherever they are continued."""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from tutelage.layout import run_folders
from tutelage.reading import TEXT, read_limited
from tutelage.study.config.build import build_some
from tutelage.train import TrainConfig
from tutelage.train.operations import operations
from tutelage.values import parse

Resolved = Literal["32-true", "bf16-mixed"]
_MULTIPLY_ADDS = 1000  # of the network, for one output of a depthwise convolution
_IMAGE = 128, 128  # any size will do: both grow with it
_Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
_RESOLVED: tuple[Resolved, ...] = ("32-true", "bf16-mixed")


def resolve_precision(train: TrainConfig, folder: Path, is_slow: Callable[[], bool]) -> Resolved:
    """`train.precision`, with `auto` replaced by that of the runs in the study's folder, or by what is faster here.

    Args:
        train: of the study.
        folder: of the study.
        is_slow: whether bf16 makes a step of its network slower on a CPU with bf16 in hardware.
    """
    if train.precision != "auto":
        return train.precision
    recorded = _recorded(folder)
    if recorded is not None:
        return recorded
    precision = train.resolved_precision()
    on_gpu = train.accelerator != "cpu" and torch.cuda.is_available()
    return "32-true" if precision == "bf16-mixed" and not on_gpu and is_slow() else precision


def is_slow_in_bf16(build: Callable[[], nn.Module]) -> bool:
    """Whether a network has so many depthwise convolutions that bf16 makes a step of it slower on a CPU.

    That is so where they have more than one output for every 1000 multiply-adds of the network, as MobileNets and
    EfficientNets have: docs/performance.md has what was measured. Nothing is computed for it, but shapes.

    Args:
        build: builds the network.
    """
    try:
        with torch.device("meta"):
            net = build().to("meta").eval()
            if not any(map(_is_depthwise, net.modules())):
                return False
            outputs: list[int] = []
            for layer in filter(_is_depthwise, net.modules()):
                layer.register_forward_hook(lambda layer, images, output: outputs.append(output.numel()))
            with torch.no_grad():
                multiply_adds = operations(partial(net, torch.empty(1, 3, *_IMAGE))) // 2
    except Exception:  # whatever a class of the user raises: it raises it again where the network is built and used
        return False
    return sum(outputs) * _MULTIPLY_ADDS > multiply_adds


def _is_depthwise(layer: nn.Module) -> bool:
    """Whether a layer convolves every channel on its own."""
    return isinstance(layer, _Convolution) and layer.groups == layer.in_channels > 1


def slow_in_bf16(values: Mapping[str, Any]) -> bool:
    """`is_slow_in_bf16` of the network of a study's plain values."""
    return _described(json.dumps({key: values[key] for key in ("net", "tasks")}, default=str))


@lru_cache
def _described(text: str) -> bool:
    values = json.loads(text)

    def build() -> nn.Module:
        _, objects = build_some({"net": _untrained(values["net"]), "tasks": values["tasks"]})
        net: nn.Module = objects["net"]({t: task.width for t, task in objects["tasks"].items()})
        return net

    return is_slow_in_bf16(build)


def _untrained(value: Any) -> Any:
    """The values of a network without pretrained weights, which would be downloaded."""
    if isinstance(value, Mapping):
        return {key: False if key == "pretrained" else _untrained(x) for key, x in value.items()}
    return [_untrained(x) for x in value] if isinstance(value, list) else value


def _recorded(folder: Path) -> Resolved | None:
    """The precision of the first run in the folder of a study."""
    for place in run_folders(folder, "config.yaml"):
        try:
            found = parse(read_limited(place / "config.yaml", TEXT).decode(), ".yaml")["train"]["precision"]
        except (OSError, ValueError, TypeError, KeyError):  # damaged: the run says so
            continue
        for precision in _RESOLVED:
            if found == precision:
                return precision
    return None
