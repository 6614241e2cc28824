"""Network, size, length and methods that suit a data set of this size, on this machine."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median
from typing import Any

from tutelage.images import Size
from tutelage.propose.weights import ENCODER, find_weights

_CACHE = 1 << 30  # bytes of decoded samples that are kept in memory
_STEP = 16  # heights and widths are multiples of it, so that few pixels are padded where networks halve them
_LEAST = 32  # that all networks take


@dataclass(frozen=True)
class Training:
    """What is trained, and for how long; each with the reason, as a comment.

    Attributes:
        size: Height and width to which images are resized.
        cache: Whether decoded samples are kept in memory.
        net: class_path and init_args.
        about_net: Why this one, in lines.
        epochs: Passes over the training images.
        about_epochs: How many steps these are.
        batch_size: Images of a step.
        optimizer: class_path and init_args.
        augment: Its init_args.
        about_augment: What it does.
        workers: Processes that load images.
        methods: Names of methods.
    """

    size: Size
    cache: bool
    net: dict[str, Any]
    about_net: list[str]
    epochs: int
    about_epochs: str
    batch_size: int
    optimizer: dict[str, Any]
    augment: dict[str, Any]
    about_augment: str
    workers: int
    methods: list[str]


def choose_training(sizes: Collection[Size], train: int, tasks: int, dense: bool, gpu: bool) -> Training:
    """Choose what suits a data set.

    Args:
        sizes: Height and width of its images.
        train: The number of training images.
        tasks: The number of tasks.
        dense: Whether a task has a value for every pixel.
        gpu: Whether it trains on a GPU.
    """
    where = find_weights() if find_spec("timm") and find_spec("segmentation_models_pytorch") else None
    pretrained = where is not None
    short = (256 if gpu else 96) if dense else (224 if gpu else 96) if pretrained else (128 if gpu else 64)
    size = _size(sizes, short)
    net, about = _net(dense, pretrained, gpu)
    about.append(where or _without_weights())
    most = (16 if gpu else 8) if dense else (64 if gpu else 32)
    batch = max(x for x in (1, 2, 4, 8, 16, 32, 64) if x <= most and x <= max(1, train // 2))
    steps = -(-train // batch)
    epochs = max(5, min(100, round((6000 if gpu else 2000) / steps)))
    rate = 5e-4 if pretrained else 1e-3
    kind = "AdamW" if pretrained else "Adam"
    decoded = len(sizes) * size[0] * size[1] * (3 + 8 * tasks)
    flip = "" if dense else ", and no mirror images, since left and right may matter (`flip: 0.5` where not)"
    return Training(
        size=size,
        cache=decoded < _CACHE,
        net=net,
        about_net=about,
        epochs=epochs,
        about_epochs=f"{epochs * steps} steps of {batch} images",
        batch_size=batch,
        optimizer={"class_path": f"torch.optim.{kind}", "init_args": {"lr": rate}},
        augment={} if dense else {"flip": 0.0},
        about_augment=f"random windows{' and mirror images' if dense else flip}; null: the images as they are",
        workers=0 if decoded < _CACHE else min(4, os.cpu_count() or 1),
        methods=["uniform", "kd4mtl"] if tasks > 1 else ["uniform"],
    )


def _size(sizes: Collection[Size], short: int) -> Size:
    height, width = median(size[0] for size in sizes), median(size[1] for size in sizes)
    scale = min(1.0, short / min(height, width))
    height, width = (max(_LEAST, round(side * scale / _STEP) * _STEP) for side in (height, width))
    return height, width


def _net(dense: bool, pretrained: bool, gpu: bool) -> tuple[dict[str, Any], list[str]]:
    """A network, and why it was taken."""
    if dense and pretrained:
        args = {"encoder": ENCODER, "decoder": "FPN", "pretrained": True}
        return _of("EncoderDecoder", args), [f"{ENCODER} of timm, with weights from ImageNet, and a decoder per task."]
    if dense:
        args = {"width": 0.5} if gpu else {"filters": [16, 32, 48, 64, 64]}
        width = "half as wide as the paper's" if gpu else "narrow enough for a CPU"
        return _of("SegNet", args), [f"The network of the paper, {width}, from random weights."]
    if pretrained:
        module = {
            "class_path": "timm.create_model",
            "init_args": {"model_name": ENCODER, "pretrained": True, "num_classes": 0},
        }
        taps = {"bottleneck": "layer4", "last": "global_pool"}
        statistics = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
        args = {"module": module, "taps": taps, "heads": "last", **statistics}
        return _of("TappedModule", args), [f"{ENCODER} of timm, with weights from ImageNet."]
    args = {"filters": [64, 128, 256] if gpu else [32, 64, 128], "blocks": 2}
    return _of("ResNet", args), ["A ResNet from random weights."]


def _of(name: str, args: dict[str, Any]) -> dict[str, Any]:
    return {"class_path": f"tutelage.nets.{name}", "init_args": args}


def _without_weights() -> str:
    if find_spec("timm") is None or find_spec("segmentation_models_pytorch") is None:
        return "Better from few images: pip install 'tutelage[nets]' and init again, for pretrained weights."
    return "Better from few images are pretrained weights: init again where huggingface.co can be reached."
