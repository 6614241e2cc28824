import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from tests.metrics.inputs import CLASSES, image_classes

from tutelage.metrics import ClassificationMetric
from tutelage.types import MaskedTarget


def scores(protocol: str, *updates: tuple[torch.Tensor, MaskedTarget]) -> dict[str, float]:
    metric = ClassificationMetric(CLASSES, protocol)
    for update in updates:
        metric.update(*update)
    return {name: value.item() for name, value in metric.compute().items()}


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")  # which is what the inputs are made for
def test_scikit_learn() -> None:
    prediction, target = image_classes()
    label, said = target.value[target.valid].numpy(), prediction[target.valid].numpy()
    expected = {
        "accuracy": 100 * accuracy_score(label, said),
        "class_accuracy": 100 * balanced_accuracy_score(label, said),
    }
    assert abs(expected["accuracy"] - expected["class_accuracy"]) > 1
    assert scores("dataset", (prediction, target)) == pytest.approx(expected, rel=1e-12)
    assert scores("image", (prediction, target)) == pytest.approx(dict.fromkeys(expected, expected["accuracy"]))


def test_by_hand() -> None:
    label = torch.tensor([0, 0, 0, 1, -1])
    found = scores("dataset", (torch.tensor([0, 0, 2, 0, 1]), MaskedTarget(label, label >= 0)))
    assert found == pytest.approx({"accuracy": 50, "class_accuracy": 100 * (2 / 3 + 0) / 2})
