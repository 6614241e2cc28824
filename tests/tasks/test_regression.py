import pytest
import torch
from tests.tasks.base import IMAGES, WholeImageTaskTester, collate
from torch import Tensor

from tutelage.tasks import Regression

MEAN, STD = [3.0, -40.0, 0.1], [0.5, 20.0, 1.0]


class TestRegression(WholeImageTaskTester):
    best = {"abs_err": 0, "rmse": 0, "r2": 1}
    positions = (3,)

    @pytest.fixture(params=["l1", "l2", "smooth_l1"])
    def task(self, request) -> Regression:
        return Regression(3, MEAN, STD, loss=request.param)

    def label(self, generator: torch.Generator) -> Tensor:
        z = torch.rand(IMAGES, 3, generator=generator) - 0.5
        return z * torch.tensor(STD) + torch.tensor(MEAN)

    def perfect(self, label: Tensor) -> Tensor:
        return (label - torch.tensor(MEAN)) / torch.tensor(STD)

    def test_loss_is_of_standardised_values(self, task, raw, target) -> None:
        total = 0.0
        for image, d in target.valid.nonzero().tolist():
            e = abs(raw[image, d].item() - (target.value[image, d].item() - MEAN[d]) / STD[d])
            total += {"l1": e, "l2": e**2, "smooth_l1": e**2 / 2 if e < 1 else e - 0.5}[task.kind]
        assert task.loss(raw, target).sum.item() == pytest.approx(total, rel=1e-5)

    def test_the_raw_output_is_standardised(self, task) -> None:
        assert task.activate(torch.zeros(2, 3)).tolist() == torch.tensor([MEAN, MEAN]).tolist()
        assert task.activate(torch.ones(1, 3)).tolist() == [pytest.approx([3.5, -20, 1.1])]

    def test_valid_is_finite(self, task) -> None:
        label = torch.tensor([[1.0, torch.nan, 0.0], [torch.inf, -torch.inf, torch.nan]])
        assert collate(task, label).valid.tolist() == [[True, False, True], [False, False, False]]
        assert task.validate_values(label[0]) is None
        assert "expected finite numbers, or nan where a number is unknown, found inf;" in task.validate_values(label[1])


def units(task: Regression) -> list[str]:
    return [info.unit for info in task.metric_info.values()]


def test_units() -> None:
    assert units(Regression(unit="m")) == ["m", "m", ""]
    assert units(Regression(std=[5.0])) == ["", "", ""]
    assert units(Regression(2, unit="m", std=[1.0, 2.0])) == ["m", "m", ""]
    assert units(Regression(2)) == ["", "", ""]
    assert units(Regression(2, std=[1.0, 2.0])) == ["std", "std", ""]


@pytest.mark.parametrize(("unit", "abs_err"), [("", (2 / 4 + 8 / 2) / 2), ("m", (2 + 8) / 2)])
def test_errors_without_a_common_unit_are_in_standard_deviations(unit, abs_err) -> None:
    task = Regression(2, [1.0, 1.0], [4.0, 2.0], unit)
    metric = task.metrics("dataset")
    metric.update(torch.tensor([[5.0, 10.0]]), collate(task, torch.tensor([[3.0, 2.0]])))
    assert metric.compute()["abs_err"].item() == pytest.approx(abs_err)


def test_what_is_drawn() -> None:
    task = Regression(2, unit="m", names=["height", "width"])
    picture = task.draw(torch.tensor([1.5, torch.nan]))
    assert picture[:40].any()
    assert not picture[40:].any()
    assert (picture != task.draw(torch.tensor([1.6, torch.nan]))).any()
    assert (picture == task.draw(torch.tensor([1.5, 7.0]), torch.tensor([True, False]))).all()
    assert (picture != Regression(2, unit="km", names=["height", "width"]).draw(torch.tensor([1.5, torch.nan]))).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"outputs": 0}, "expected at least one output"),
        ({"outputs": 2, "mean": [0.0]}, r"expected `mean` with 2 entries, one per output\. Found 1"),
        ({"std": [1.0, 2.0]}, r"expected `std` with 1 entries, one per output\. Found 2"),
        ({"names": []}, "expected `names` with 1"),
        ({"mean": [float("nan")]}, "expected `mean` to be finite"),
        ({"std": [0.0]}, "expected `std` to be positive"),
        ({"loss": "huber"}, r"Regression\.loss: expected one of l1, l2, smooth_l1, found `huber`"),
    ],
)
def test_wrong_arguments(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        Regression(**arguments)
