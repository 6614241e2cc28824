import math

import pytest
import torch
from tests.metrics.inputs import as_images, directions
from tests.reference import metrics_reference
from torch import Tensor

from tutelage.metrics import NormalsMetric
from tutelage.types import MaskedTarget


def turned(*degrees: float) -> tuple[Tensor, MaskedTarget]:
    """One image whose predictions are off by these angles."""
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    prediction = torch.stack([angle.sin(), torch.zeros_like(angle), angle.cos()]).float().reshape(1, 3, 1, -1)
    label = torch.tensor([0.0, 0.0, 1.0]).reshape(1, 3, 1, 1).expand(prediction.shape)
    return prediction, MaskedTarget(label, torch.ones(1, 1, len(degrees), dtype=torch.bool))


def scores(protocol, *updates: tuple[Tensor, MaskedTarget]) -> dict[str, float]:
    metric = NormalsMetric(protocol)
    for update in updates:
        metric.update(*update)
    return {name: value.item() for name, value in metric.compute().items()}


@pytest.mark.parametrize("protocol", ["dataset", "image"])
def test_loops(protocol) -> None:
    prediction, target = directions()
    expected = metrics_reference.normals(protocol, as_images(prediction, target))
    found = scores(protocol, (prediction, target))
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, abs=6e-4 if protocol == "dataset" else 2e-5)


@pytest.mark.parametrize("protocol", ["dataset", "image"])
class TestBoth:
    def test_by_hand(self, protocol) -> None:
        found = scores(protocol, turned(0, 10, 20, 170))
        expected = {"mean": 50, "median": 15, "within_11_25": 50, "within_22_5": 75, "within_30": 75}
        assert found == pytest.approx(expected, abs=1e-4)

    def test_median_of_an_odd_number(self, protocol) -> None:
        assert scores(protocol, turned(1, 100, 2.5))["median"] == pytest.approx(2.5, abs=6e-4)

    def test_equal_and_opposite_are_exact(self, protocol) -> None:
        prediction, target = directions()
        prediction = target.value * 1.0
        assert scores(protocol, (prediction, target))["mean"] == 0
        assert scores(protocol, (-prediction, target))["median"] == 180

    def test_a_dead_prediction_is_90_degrees_off(self, protocol) -> None:
        prediction, target = turned(0)
        assert scores(protocol, (prediction * 0, target))["mean"] == pytest.approx(90)

    def test_a_nan_prediction_shows(self, protocol) -> None:
        prediction, target = directions()
        prediction[0, :, target.valid[0]] = torch.nan
        found = scores(protocol, (prediction, target))
        assert math.isnan(found["mean"])
        assert math.isnan(found["median"])

    def test_nan_where_nothing_is_valid_does_not(self, protocol) -> None:
        prediction, target = directions()
        expected = scores(protocol, (prediction, target))
        value = torch.where(target.valid.unsqueeze(1), target.value, torch.nan)
        assert scores(protocol, (prediction, MaskedTarget(value, target.valid))) == expected


def test_median_of_the_set_is_not_the_median_of_medians() -> None:
    updates = [turned(1, 2, 3, 4, 5), turned(50)]
    assert scores("dataset", *updates)["median"] == pytest.approx(3.5, abs=6e-4)
    assert scores("image", *updates)["median"] == pytest.approx((3 + 50) / 2, abs=1e-4)
