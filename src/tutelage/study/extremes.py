"""The test images on which a network does best and worst."""

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from statistics import fmean
from typing import Any

from lightning_fabric import Fabric

from tutelage.data import DataSource
from tutelage.study.predictions import equally_spaced, image_metrics
from tutelage.train import make_batch, predict
from tutelage.types import Batch, MultiTaskNet, Task

_CANDIDATES = 64  # test images of every source that are looked at


def extremes(fabric: Fabric, net: MultiTaskNet, tasks: Mapping[str, Task], source: DataSource) -> dict[str, Any] | None:
    """The best and the worst test image of every source, in the order of its parts.

        score_i = mean_t s_t (M_it - mean_j M_jt) / |mean_j M_jt|

    over the tasks t that image i has labels of, where M_it is the main metric of the image alone and s_t is +1 where
    higher is better, else -1. At most 64 images at equal distances are looked at.

    Returns:
        `best` and `worst`: positions in the test split, one of every source; `of`: the number of images that were
        looked at. None where no image of a source has a score.
    """
    found: dict[str, Any] = {"best": [], "worst": [], "of": 0}
    for part in source.parts().values():
        samples = part.source.decoded("test")
        candidates = equally_spaced(len(samples), _CANDIDATES)
        labelled = {t: task for t, task in tasks.items() if t in part.source.modalities}
        values = [_metrics(fabric, net, labelled, make_batch([samples[i]], tasks)) for i in candidates]
        scores = {i: score for i, score in zip(candidates, _scores(values, labelled), strict=True) if isfinite(score)}
        if not scores:
            return None
        found["best"].append(max(scores, key=scores.__getitem__))
        found["worst"].append(min(scores, key=scores.__getitem__))
        found["of"] += len(scores)
    return found


def _metrics(fabric: Fabric, net: MultiTaskNet, tasks: Mapping[str, Task], batch: Batch) -> dict[str, float]:
    """The main metric of each task on the one image of a batch, where it has one."""
    values = image_metrics(tasks, predict(fabric, net, tasks, batch), batch)
    return {t: value for t, (value,) in values.items() if isfinite(value)}


def _scores(values: Sequence[Mapping[str, float]], tasks: Mapping[str, Task]) -> list[float]:
    """The score of every image; nan where it has none."""
    means = {t: fmean(of_task) for t in tasks if (of_task := [v[t] for v in values if t in v])}
    gains = [
        [_sign(tasks[t]) * (value - means[t]) / abs(means[t]) for t, value in of_image.items() if means[t] != 0]
        for of_image in values
    ]
    return [fmean(of_image) if of_image else nan for of_image in gains]


def _sign(task: Task) -> int:
    return 1 if task.metric_info[task.main].higher_is_better else -1
