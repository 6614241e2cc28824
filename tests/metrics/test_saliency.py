import numpy as np
import pytest
import torch
from sklearn.metrics import fbeta_score, jaccard_score, mean_absolute_error, precision_score, recall_score
from tests.metrics.inputs import as_images, probabilities

from tutelage.metrics import SaliencyMetric
from tutelage.types import MaskedTarget

THRESHOLDS = np.arange(1, 20, dtype=np.float32) / np.float32(20)


def scores(protocol: str, prediction: torch.Tensor, target: MaskedTarget) -> dict[str, float]:
    metric = SaliencyMetric(protocol)
    metric.update(prediction, target)
    return {name: value.item() for name, value in metric.compute().items()}


def test_scikit_learn_over_the_set() -> None:
    prediction, target = probabilities()
    label, q = target.value[target.valid].numpy(), prediction[target.valid].numpy()
    expected = {
        "max_f": 100 * max(fbeta_score(label, q > t, beta=0.3**0.5, zero_division=0) for t in THRESHOLDS),
        "miou": 100 * max(jaccard_score(label, q > t) for t in THRESHOLDS),
        "mae": mean_absolute_error(label, q),
    }
    assert scores("dataset", prediction, target) == pytest.approx(expected, rel=1e-6)


def test_scikit_learn_by_image() -> None:
    prediction, target = probabilities()
    images = [(label[v], q[v]) for q, label, v in as_images(prediction, target) if v.any()]
    assert len(images) == 4
    best_f = best_j = 0.0
    for t in THRESHOLDS:
        p = np.mean([precision_score(label, q > t, zero_division=0) for label, q in images])
        r = np.mean([recall_score(label, q > t, zero_division=0) for label, q in images])
        j = np.mean([jaccard_score(label, q > t, zero_division=1) for label, q in images])
        best_f, best_j = max(best_f, 1.3 * p * r / (0.3 * p + r)), max(best_j, j)
    expected = {
        "max_f": 100 * best_f,
        "miou": 100 * best_j,
        "mae": np.mean([mean_absolute_error(label, q) for label, q in images]),
    }
    assert scores("image", prediction, target) == pytest.approx(expected, rel=1e-6)


def test_a_set_without_a_salient_pixel_has_an_error_alone() -> None:
    prediction, target = probabilities()
    found = scores("dataset", prediction, MaskedTarget(target.value.clamp(max=0), target.valid))
    assert np.isnan([found["max_f"], found["miou"]]).all()
    assert found["mae"] == pytest.approx(prediction[target.valid].mean().item())


@pytest.mark.parametrize("protocol", ["dataset", "image"])
def test_a_nan_prediction_shows_where_it_is_labelled(protocol) -> None:
    prediction, target = probabilities()
    expected = scores(protocol, prediction, target)
    assert scores(protocol, torch.where(target.valid, prediction, torch.nan), target) == expected
    prediction[0][target.valid[0]] = torch.nan
    assert all(np.isnan(value) for value in scores(protocol, prediction, target).values())
