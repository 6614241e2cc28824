import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation
from sklearn.metrics import f1_score
from tests.metrics.inputs import as_images, probabilities

from tutelage.metrics import EdgesMetric
from tutelage.types import MaskedTarget

THRESHOLDS = np.arange(1, 100, dtype=np.float32) / np.float32(100)


def score(protocol: str, prediction: torch.Tensor, target: MaskedTarget, tolerance: int) -> float:
    metric = EdgesMetric(tolerance, protocol)
    metric.update(prediction, target)
    return metric.compute()["ods_f"].item()


def best(images, tolerance: int) -> float:
    """The best F over thresholds, with a dilation at each."""
    square, found = np.ones((2 * tolerance + 1,) * 2), []
    for t in THRESHOLDS:
        right = said = hit = labelled = 0
        for q, label, v in images:
            edge, predicted = v & (label == 1), v & (q > t)
            right += (predicted & binary_dilation(edge, square)).sum()
            said += predicted.sum()
            hit += (edge & binary_dilation(predicted, square)).sum()
            labelled += edge.sum()
        p, r = right / max(said, 1), hit / labelled
        found.append(2 * p * r / max(p + r, 1e-9))
    return 100 * max(found)


@pytest.mark.parametrize("tolerance", [0, 1, 2])
def test_dilation_at_every_threshold(tolerance) -> None:
    prediction, target = probabilities()
    images = as_images(prediction, target)
    assert score("dataset", prediction, target, tolerance) == pytest.approx(best(images, tolerance))
    each = [best([image], tolerance) for image in images if (image[1] == 1).any()]
    assert len(each) == 3
    assert score("image", prediction, target, tolerance) == pytest.approx(np.mean(each))


def test_without_tolerance_it_is_f1() -> None:
    prediction, target = probabilities()
    label, q = target.value[target.valid].numpy(), prediction[target.valid].numpy()
    expected = 100 * max(f1_score(label, q > t, zero_division=0) for t in THRESHOLDS)
    assert score("dataset", prediction, target, 0) == pytest.approx(expected)


@pytest.mark.parametrize(("tolerance", "expected"), [(1, 0), (2, 100), (3, 100)])
def test_a_line_that_is_two_pixels_off(tolerance, expected) -> None:
    label, prediction = torch.zeros(1, 9, 9, dtype=torch.int64), torch.zeros(1, 9, 9)
    label[0, :, 3] = 1
    prediction[0, :, 5] = 1
    for protocol in ("dataset", "image"):
        assert score(protocol, prediction, MaskedTarget(label, label >= 0), tolerance) == expected


@pytest.mark.parametrize("protocol", ["dataset", "image"])
def test_a_nan_prediction_shows_where_it_is_labelled(protocol) -> None:
    prediction, target = probabilities()
    expected = score(protocol, prediction, target, 1)
    assert score(protocol, torch.where(target.valid, prediction, torch.nan), target, 1) == expected
    prediction[0][target.valid[0]] = torch.nan
    assert np.isnan(score(protocol, prediction, target, 1))
