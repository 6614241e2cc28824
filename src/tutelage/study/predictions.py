"""What the report draws: a few test images with targets and predictions."""

from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from tutelage.data import DataSource
from tutelage.train import make_batch, predict, save_safetensors
from tutelage.types import Batch, MaskedTarget, MultiTaskNet, Task

_SHOWN = 8  # test images of every source


def equally_spaced(count: int, most: int) -> list[int]:
    """At most so many positions among `count`, at equal distances.

    >>> equally_spaced(10, 4), equally_spaced(2, 4)
    ([0, 2, 5, 7], [0, 1])
    """
    shown = min(count, most)
    return [i * count // shown for i in range(shown)]


def save_predictions(
    fabric: Fabric,
    net: MultiTaskNet,
    tasks: Mapping[str, Task],
    source: DataSource,
    path: Path,
    indices: Sequence[int] | None = None,
) -> None:
    """Keep what the report draws: images, targets, activated predictions, and the main metric of every image.

    Args:
        fabric: of the run.
        net: whose predictions.
        tasks: of the network.
        source: of the images.
        path: of the file.
        indices: the position of one test image of every source; None: eight of every source, at equal distances.
    """
    save_safetensors(path, shown_predictions(fabric, net, tasks, source, indices))


def shown_predictions(
    fabric: Fabric,
    net: MultiTaskNet,
    tasks: Mapping[str, Task],
    source: DataSource,
    indices: Sequence[int] | None = None,
) -> dict[str, Tensor]:
    """What `save_predictions` keeps."""
    tensors: dict[str, Tensor] = {}
    parts = source.parts()
    for number, (name, part) in enumerate(parts.items()):
        samples = part.source.decoded("test")
        shown = equally_spaced(len(samples), _SHOWN) if indices is None else [indices[number]]
        chosen = [samples[i] for i in shown]
        batch = make_batch([x for x in chosen if x["image"].shape == chosen[0]["image"].shape], tasks)
        prefix = f"{name}/" if len(parts) > 1 else ""
        tensors[f"{prefix}image"] = (batch.images * 255).round().to(torch.uint8)
        # Of several sources, each has predictions of the tasks that it has labels of.
        labelled = {t: task for t, task in tasks.items() if t in part.source.modalities}
        predictions = predict(fabric, net, labelled, batch)
        tensors |= {f"{prefix}prediction/{t}": _compact(prediction) for t, prediction in predictions.items()}
        scores = image_metrics(tasks, predictions, batch)
        tensors |= {f"{prefix}score/{t}": torch.tensor(values) for t, values in scores.items()}
        for t, target in batch.targets.items():
            if isinstance(target, MaskedTarget):
                tensors |= {f"{prefix}target/{t}": _compact(target.value), f"{prefix}valid/{t}": target.valid}
    return tensors


def image_metrics(tasks: Mapping[str, Task], predictions: Mapping[str, Tensor], batch: Batch) -> dict[str, list[float]]:
    """The main metric of every image by itself, for each task with predictions; nan where an image has no label."""
    from torchmetrics import Metric  # takes seconds

    values: dict[str, list[float]] = {}
    for t, prediction in predictions.items():
        target = batch.targets.get(t)
        if not isinstance(target, MaskedTarget):
            continue
        metric = tasks[t].metrics("image")
        for part in metric.modules():
            if isinstance(part, Metric):  # these images are of this process alone: nobody would answer
                part.distributed_available_fn = _alone
        values[t] = []
        for i, labelled in enumerate(batch.labelled[t].tolist()):
            metric.reset()
            if labelled:
                metric.update(
                    prediction[i : i + 1].cpu(), MaskedTarget(target.value[i : i + 1], target.valid[i : i + 1])
                )
            values[t].append(float(metric.compute()[tasks[t].main]) if labelled else nan)
    return values


def _alone() -> bool:
    """For torchmetrics: that there is no other process."""
    return False


def _compact(value: Tensor) -> Tensor:
    if value.ndim <= 2:  # of whole images: any number
        return value
    return value.to(torch.float16 if value.is_floating_point() else torch.int16)
