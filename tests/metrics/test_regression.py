import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from tests.metrics.inputs import numbers

from tutelage.metrics import RegressionMetric
from tutelage.types import MaskedTarget


def scores(
    protocol: str, prediction: torch.Tensor, target: MaskedTarget, scale: list[float] | None = None
) -> dict[str, float]:
    metric = RegressionMetric(prediction.shape[1], protocol, scale)
    metric.update(prediction, target)
    return {name: value.item() for name, value in metric.compute().items()}


@pytest.mark.parametrize("protocol", ["dataset", "image"])
@pytest.mark.parametrize("scale", [None, [0.5, 20.0, 3.0]])
def test_scikit_learn(protocol, scale) -> None:
    prediction, target = numbers()
    known, (said, label) = target.valid.numpy(), (x.double().numpy() for x in (prediction, target.value))
    r2 = np.mean([r2_score(label[k, d], said[k, d]) for d, k in enumerate(known.T)])
    said, label = (x / np.array(scale or [1.0, 1.0, 1.0]) for x in (said, label))
    rows = (
        [known] if protocol == "dataset" else [known & (np.arange(len(known)) == i)[:, None] for i in range(len(known))]
    )
    expected = {
        "abs_err": np.mean([mean_absolute_error(label[k], said[k]) for k in rows if k.any()]),
        "rmse": np.mean([root_mean_squared_error(label[k], said[k]) for k in rows if k.any()]),
        "r2": r2,
    }
    assert scores(protocol, prediction, target, scale) == pytest.approx(expected, rel=1e-6)


def test_the_protocols_weigh_differently() -> None:
    label = torch.tensor([[0.0, 0.0], [0.0, torch.nan]])
    updates = torch.tensor([[1.0, 3.0], [8.0, 0.0]]), MaskedTarget(label, label.isfinite())
    assert scores("dataset", *updates)["abs_err"] == pytest.approx(12 / 3)
    assert scores("image", *updates)["abs_err"] == pytest.approx((2 + 8) / 2)
    assert scores("image", *updates)["rmse"] == pytest.approx((5**0.5 + 8) / 2)


def test_a_number_that_never_varies_has_no_r2() -> None:
    label = torch.tensor([[1.1, 1.0], [1.1, 2.0], [1.1, 3.0]])
    target = MaskedTarget(label, label.isfinite())
    assert scores("dataset", label + torch.tensor([0.3, 0.0]), target)["r2"] == pytest.approx(1)
    assert np.isnan(scores("dataset", label[:, :1], MaskedTarget(label[:, :1], target.valid[:, :1]))["r2"])


def test_r2_far_from_zero() -> None:
    # labels of mean 10^6 and variance 1: squares of 10^12 would leave nothing of it in fp32
    label = 1e6 + torch.tensor([[-1.0], [1.0]]).repeat(500, 1)
    assert scores("dataset", label + 0.5, MaskedTarget(label, label.isfinite()))["r2"] == pytest.approx(0.75)


def test_a_nan_prediction_shows() -> None:
    prediction, target = numbers()
    prediction[0] = torch.nan
    assert target.valid[0].any()
    for protocol in ("dataset", "image"):
        assert all(np.isnan(value) for value in scores(protocol, prediction, target).values())
