import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score
from tests.metrics.inputs import CLASSES, several_classes
from torchmetrics.functional.classification import multilabel_average_precision

from tutelage.metrics import MultiLabelMetric
from tutelage.types import MaskedTarget


def scores(protocol: str, *updates: tuple[torch.Tensor, MaskedTarget]) -> dict[str, float]:
    metric = MultiLabelMetric(updates[0][0].shape[1], protocol)
    for update in updates:
        metric.update(*update)
    return {name: value.item() for name, value in metric.compute().items()}


@pytest.mark.parametrize("protocol", ["dataset", "image"])
def test_scikit_learn(protocol) -> None:
    prediction, target = several_classes()
    rows = (prediction, target.value, target.valid)
    precision, f1 = [], []
    for score, label, known in zip(*((x.T if protocol == "dataset" else x).numpy() for x in rows), strict=True):
        if (label[known] == 1).any():
            precision.append(average_precision_score(label[known], score[known]))
            f1.append(f1_score(label[known], score[known] > np.float32(0.5)))
    assert len(precision) == 4 if protocol == "dataset" else 15 < len(precision) < 28  # the rest has no positive
    expected = {"map": 100 * np.mean(precision), "f1": 100 * np.mean(f1)}
    assert scores(protocol, (prediction, target)) == pytest.approx(expected, rel=1e-6)


def test_torchmetrics() -> None:
    prediction, target = (x[:, :4] for x in (several_classes()[0], several_classes()[1].value))
    label = target.nan_to_num(-1).long()
    expected = multilabel_average_precision(prediction, label, 4, ignore_index=-1)
    found = scores("dataset", (prediction, MaskedTarget(target, label >= 0)))["map"]
    assert found == pytest.approx(100 * expected.item(), rel=1e-6)


def test_by_hand() -> None:
    label = torch.tensor([[1.0, 0.0], [torch.nan, 1.0], [0.0, 1.0]])
    score = torch.tensor([[0.9, 0.8], [0.95, 0.6], [0.4, 0.9]])
    target = MaskedTarget(label, label.isfinite())
    # class 0: its one positive is first of two. Class 1: positives are first and third of three
    assert scores("dataset", (score, target))["map"] == pytest.approx(100 * (1 + (1 + 2 / 3) / 2) / 2)
    assert scores("image", (score, target))["map"] == pytest.approx(100)
    assert scores("dataset", (score, target))["f1"] == pytest.approx(100 * (1 + 4 / 5) / 2)
    assert scores("image", (score, target))["f1"] == pytest.approx(100 * (2 / 3 + 1 + 1) / 3)


@pytest.mark.parametrize("protocol", ["dataset", "image"])
def test_a_nan_prediction_shows_where_it_is_known(protocol) -> None:
    prediction, target = several_classes()
    expected = scores(protocol, (prediction, target))
    assert scores(protocol, (torch.where(target.valid, prediction, torch.nan), target)) == expected
    prediction[0, target.valid[0]] = torch.nan
    assert (target.value[0] == 1).any()
    assert np.isnan(scores(protocol, (prediction, target))["map"])


def test_nothing_seen_is_nan() -> None:
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        assert all(value.isnan() for value in MultiLabelMetric(CLASSES).compute().values())


@pytest.mark.parametrize("protocol", ["dataset", "image"])
def test_what_is_not_a_number_shows(protocol) -> None:
    target = MaskedTarget(torch.tensor([[1, 1], [0, 1]]), torch.ones(2, 2, dtype=torch.bool))
    found = scores(protocol, (torch.tensor([[0.9, torch.nan], [0.2, 0.7]]), target))
    assert np.isnan(list(found.values())).all()
