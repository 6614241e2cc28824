"""What the report draws: a few test images with targets and predictions."""

from collections.abc import Mapping
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from tutelage.data import DataSource
from tutelage.train import make_batch, predict, save_safetensors
from tutelage.types import MaskedTarget, MultiTaskNet, Task

_SHOWN = 6  # test images of every source


def save_predictions(
    fabric: Fabric, net: MultiTaskNet, tasks: Mapping[str, Task], source: DataSource, path: Path
) -> None:
    """Keep what the report draws."""
    save_safetensors(path, shown_predictions(fabric, net, tasks, source))


def shown_predictions(
    fabric: Fabric, net: MultiTaskNet, tasks: Mapping[str, Task], source: DataSource
) -> dict[str, Tensor]:
    """What the report draws of every source: images, targets and activated predictions."""
    tensors: dict[str, Tensor] = {}
    parts = source.parts()
    for name, part in parts.items():
        samples = part.source.decoded("test")
        count, shown = len(samples), min(len(samples), _SHOWN)
        chosen = [samples[i * count // shown] for i in range(shown)]
        batch = make_batch([x for x in chosen if x["image"].shape == chosen[0]["image"].shape], tasks)
        prefix = f"{name}/" if len(parts) > 1 else ""
        tensors[f"{prefix}image"] = (batch.images * 255).round().to(torch.uint8)
        # Of several sources, each has predictions of the tasks that it has labels of.
        labelled = {t: task for t, task in tasks.items() if t in part.source.modalities}
        for t, prediction in predict(fabric, net, labelled, batch).items():
            tensors[f"{prefix}prediction/{t}"] = _compact(prediction)
        for t, target in batch.targets.items():
            if isinstance(target, MaskedTarget):
                tensors |= {f"{prefix}target/{t}": _compact(target.value), f"{prefix}valid/{t}": target.valid}
    return tensors


def _compact(value: Tensor) -> Tensor:
    if value.ndim <= 2:  # of whole images: any number
        return value
    return value.to(torch.float16 if value.is_floating_point() else torch.int16)
