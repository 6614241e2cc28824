import pytest
import torch
from tests.metrics.inputs import CLASSES, as_images, classes
from tests.reference import metrics_reference

from tutelage.metrics import SegmentationMetric
from tutelage.types import MaskedTarget


def scores(metric: SegmentationMetric, prediction: torch.Tensor, target: MaskedTarget) -> dict[str, float]:
    metric.update(prediction, target)
    return {name: value.item() for name, value in metric.compute().items()}


@pytest.mark.parametrize("protocol", ["dataset", "image"])
def test_loops(protocol) -> None:
    prediction, target = classes()
    expected = metrics_reference.segmentation(protocol, as_images(prediction, target), CLASSES)
    found = scores(SegmentationMetric(CLASSES, protocol), prediction, target)
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, rel=1e-12)


# One row of four pixels: label, prediction, and the IoU of each class by hand.
LABEL = torch.tensor([[[0, 0, 1, -1]]])
PREDICTION = torch.tensor([[[0, 1, 1, 2]]])


def test_by_hand() -> None:
    target = MaskedTarget(LABEL, LABEL >= 0)
    # class 0: 1 of 2; class 1: 1 of 2; class 2 is predicted at the unlabelled pixel alone; class 3 occurs nowhere
    assert scores(SegmentationMetric(4, "dataset"), PREDICTION, target)["miou"] == pytest.approx(100 * (0.5 + 0.5) / 2)
    # the image protocol counts class 2 as found in 0 of 1
    assert scores(SegmentationMetric(4, "image"), PREDICTION, target)["miou"] == pytest.approx(100 * (0.5 + 0.5) / 3)
    for protocol in ("dataset", "image"):
        accuracy = scores(SegmentationMetric(4, protocol), PREDICTION, target)["pixel_accuracy"]
        assert accuracy == pytest.approx(100 * 2 / 3)


def test_a_class_that_is_only_predicted_counts_as_nothing_found() -> None:
    label = torch.zeros(1, 1, 2, dtype=torch.int64)
    target = MaskedTarget(label, label >= 0)
    assert scores(SegmentationMetric(3), torch.tensor([[[0, 2]]]), target)["miou"] == pytest.approx(25)
