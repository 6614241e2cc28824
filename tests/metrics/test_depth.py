import pytest
import torch
from tests.metrics.inputs import as_images, depths
from tests.reference import metrics_reference

from tutelage.metrics import DepthMetric
from tutelage.types import MaskedTarget


@pytest.mark.parametrize("protocol", ["dataset", "image"])
def test_loops(protocol) -> None:
    prediction, target = depths()
    expected = metrics_reference.depth(protocol, as_images(prediction, target))
    metric = DepthMetric(protocol)
    metric.update(prediction, target)
    found = {name: value.item() for name, value in metric.compute().items()}
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_nan_prediction_shows() -> None:
    prediction, target = depths()
    prediction[0, 0][target.valid[0]] = torch.nan
    for protocol in ("dataset", "image"):
        metric = DepthMetric(protocol)
        metric.update(prediction, target)
        assert metric.compute()["abs_err"].isnan()


def test_by_hand() -> None:
    label = torch.tensor([[[[2.0, 4.0, 0.0]]]])
    metric = DepthMetric()
    metric.update(torch.tensor([[[[1.0, 5.0, 9.0]]]]), MaskedTarget(label, (label != 0).squeeze(1)))
    assert metric.compute()["abs_err"].item() == 1
    assert metric.compute()["rel_err"].item() == (0.5 + 0.25) / 2
