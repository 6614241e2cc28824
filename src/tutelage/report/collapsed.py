"""Networks that predict nearly the same everywhere: they are hardly trained, and Delta with them says nothing."""

import torch
from torch import Tensor

from tutelage.report.predictions import Predictions
from tutelage.report.results import Results

_ONE_CLASS = 0.95  # of the predictions, where the labels have less of their commonest class than _VARIED
_VARIED = 0.8
_SPREAD = 0.1  # of the labels' standard deviation: at best a fifth of their variance is explained


def collapsed(results: Results) -> str:
    """One sentence about the networks whose predictions hardly vary on the images that are shown; empty: none.

    A network of classes is named where 95 % of its predictions are one class and the labels are not like that; one of
    numbers where the standard deviation of its predictions is below a tenth of that of the labels.
    """
    of_method = {m: _collapsed_tasks(results, m) for m in results.methods}
    named = [f"{method} ({', '.join(tasks)})" for method, tasks in of_method.items() if tasks]
    if not named:
        return ""
    return (
        f"Hardly trained: {'; '.join(named)}. On the images that are shown they predict nearly the same everywhere, so "
        "Delta says nothing: train longer."
    )


def _collapsed_tasks(results: Results, method: str) -> list[str]:
    runs = {t: run for t in results.tasks if (run := results.run(method, t)) is not None}
    drawn = {run: Predictions(run / "predictions.safetensors") for run in set(runs.values())}  # of several tasks once
    return [t for t, run in runs.items() if _is_collapsed(drawn[run], t)]


def _is_collapsed(drawn: Predictions, task: str) -> bool:
    parts = (drawn.of(source).values(task) for source in drawn.sources)
    return any(part is not None and _hardly_varies(*part) for part in parts)


def _hardly_varies(predicted: Tensor, target: Tensor, valid: Tensor) -> bool:
    if valid.ndim == predicted.ndim - 1:  # a position has several numbers
        valid = valid.unsqueeze(1)
    try:
        valid = valid.expand_as(predicted)
    except RuntimeError:  # it is of other images
        return False
    if predicted.shape != target.shape or valid.sum() < 2:
        return False
    if not predicted.is_floating_point():
        return _commonest(predicted[valid]) >= _ONE_CLASS and _commonest(target[valid]) < _VARIED
    spread = _spread(target, valid)
    return bool(spread > 0 and _spread(predicted, valid) < _SPREAD * spread)


def _commonest(classes: Tensor) -> float:
    """The share of the commonest class."""
    return float(classes.flatten().bincount().max() / classes.numel())


def _spread(values: Tensor, valid: Tensor) -> Tensor:
    """The standard deviation over images and positions, of each number around its own mean."""
    several = values.ndim in (2, 4)  # [B, D] and [B, C, H, W], against [B] and [B, H, W]
    numbers = zip(values.unbind(1), valid.unbind(1), strict=True) if several else [(values, valid)]
    known = [x[v].double() for x, v in numbers if v.any()]
    return torch.cat([x - x.mean() for x in known]).square().mean().sqrt()
