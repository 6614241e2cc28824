"""The networks that are measured: the paper's, the same small, and a light one for phones."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tutelage.bench.harness import Settings
from tutelage.nets import EncoderDecoder, SegNet
from tutelage.types import MultiTaskNet

FILTERS = (16, 32, 64, 128, 128)  # a quarter of the width of the paper's
_FPN = {"decoder_pyramid_channels": 64, "decoder_segmentation_channels": 32}


@dataclass(frozen=True)
class Network:
    """A network with the images that it is measured on.

    Attributes:
        label: for tables.
        build: makes it from {task: width}.
        size: height and width of the images.
        batch: images of a step.
        needs: a library that it needs, or "".
    """

    label: str
    build: Callable[[dict[str, int]], MultiTaskNet]
    size: tuple[int, int]
    batch: int
    needs: str = ""


NETWORKS = {
    "segnet": Network("SegNet 288x384, batch 2", SegNet, (288, 384), 2),
    "segnet-quarter": Network("SegNet quarter width, 96x128, batch 8", partial(SegNet, filters=FILTERS), (96, 128), 8),
    "efficientnet-lite0": Network(
        "EfficientNet-Lite0 + FPN, 96x128, batch 8",
        partial(EncoderDecoder, encoder="tf_efficientnet_lite0", decoder="FPN", decoder_args=_FPN),
        (96, 128),
        8,
        needs="segmentation_models_pytorch",
    ),
}


def chosen(settings: Settings) -> Iterator[tuple[str, Network]]:
    """The networks that are asked for, without those whose library is not installed."""
    for name, network in NETWORKS.items():
        if settings.networks and name not in settings.networks:
            continue
        if network.needs and importlib.util.find_spec(network.needs) is None:
            settings.note(f"{network.label} is left out: it needs pip install 'tutelage[nets]'")
            continue
        yield name, network
