"""The metrics as loops over images, classes and pixels, in numpy and fp64: slow and obvious."""

import math

import numpy as np

Scores = dict[str, float]


def over(protocol: str, images: list[tuple[np.ndarray, np.ndarray, np.ndarray]], score) -> Scores:
    """`score` of all images at once, or the mean of the scores of those with a valid pixel."""
    if protocol == "dataset":
        return score(images)
    scores = [score([image]) for image in images if image[2].any()]
    return {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}


def segmentation(protocol: str, images, classes: int) -> Scores:
    """Images of (prediction [H, W], label [H, W], valid [H, W])."""
    n, labelled, predicted = (np.zeros(classes) for _ in range(3))
    scores = []
    for prediction, label, valid in images:
        if protocol == "image":
            n, labelled, predicted = (np.zeros(classes) for _ in range(3))
        for p, c, v in zip(prediction.ravel(), label.ravel(), valid.ravel(), strict=True):
            if v:
                labelled[c] += 1
                n[c] += p == c
            if v or protocol == "image":  # the authors' code counts what is predicted where there is no label
                predicted[p] += 1
        if valid.any():
            scores.append(_iou(n, labelled, predicted))
    if protocol == "dataset":
        return _iou(n, labelled, predicted)
    return {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}


def _iou(n, labelled, predicted) -> Scores:
    ious = []
    for c in range(len(n)):
        union = labelled[c] + predicted[c] - n[c]
        if union > 0:
            ious.append(n[c] / union)
    return {"miou": 100 * sum(ious) / len(ious), "pixel_accuracy": 100 * sum(n) / sum(labelled)}


def depth(protocol: str, images) -> Scores:
    """Images of (prediction [1, H, W], label [1, H, W], valid [H, W])."""

    def score(images) -> Scores:
        absolute, relative = [], []
        for prediction, label, valid in images:
            for z, true, v in zip(prediction.ravel().tolist(), label.ravel().tolist(), valid.ravel(), strict=True):
                if v:
                    absolute.append(abs(z - true))
                    relative.append(abs(z - true) / true)
        return {"abs_err": float(np.mean(absolute)), "rel_err": float(np.mean(relative))}

    return over(protocol, images, score)


def normals(protocol: str, images) -> Scores:
    """Images of (prediction [3, H, W], label [3, H, W], valid [H, W])."""

    def score(images) -> Scores:
        angles = []
        for prediction, label, valid in images:
            for y, x in np.argwhere(valid):
                n, true = prediction[:, y, x].astype(float), label[:, y, x].astype(float)
                cosine = float(n @ true) / math.sqrt(float(n @ n) * float(true @ true))
                angles.append(math.degrees(math.acos(min(1.0, max(-1.0, cosine)))))
        shares = {f"within_{k}": 100 * float(np.mean([a < t for a in angles])) for k, t in _THRESHOLDS.items()}
        return {"mean": float(np.mean(angles)), "median": float(np.median(angles)), **shares}

    return over(protocol, images, score)


_THRESHOLDS = {"11_25": 11.25, "22_5": 22.5, "30": 30.0}
