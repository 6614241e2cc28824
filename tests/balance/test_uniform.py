import pytest
import torch
from tests.balance.balancer_tester import TASKS, BalancerTester, Model, WholeStep

from tutelage.balance import Uniform
from tutelage.balance.objective import Balance
from tutelage.types import Balancer


class TestUniform(BalancerTester):
    @pytest.fixture
    def balancer(self) -> Balancer:
        return Uniform()


class TestUniformWithWeights(BalancerTester):
    @pytest.fixture
    def balancer(self) -> Balancer:
        return Uniform({"height": 0.3})


def test_gradient_is_that_of_the_formula() -> None:
    model, balancer = Model(), Uniform({"height": 0.3})
    weights = balancer.backward(model.terms(), [], model, WholeStep())
    i, j = torch.arange(6), torch.arange(3)
    expected = (2.5 - i).sign().mean() + 0.3 * (2 * (2.5 - j)).mean() + 6 * 2.5**2
    torch.testing.assert_close(model.grad(), expected)
    assert weights["shapes"] == 1
    torch.testing.assert_close(weights["height"], torch.tensor(0.3))


class TestTeachersAlone(BalancerTester):
    @pytest.fixture
    def balancer(self) -> Balancer:
        return Uniform(default=0.0)


def test_weights_rise_over_the_run() -> None:
    balancer = Uniform({"height": 0.3}, default=2.0, schedule="rising")
    for progress in (0.0, 0.25, 0.5):
        model = Model()
        balancer.begin_step(progress)
        weights = balancer.backward(model.terms(), [], model, WholeStep())
        assert {t: float(w) for t, w in weights.items()} == pytest.approx(
            {"shapes": 2.0 * progress, "height": 0.3 * progress}
        )


def test_has_no_parameters() -> None:
    assert not list(Uniform({"height": 2.0}).parameters())


def test_unknown_task() -> None:
    with pytest.raises(ValueError, match=r"weights: expected tasks among shapes, height; found `heights`"):
        Uniform({"heights": 2.0}).setup(TASKS, Model())


@pytest.mark.parametrize("balance", ["task+distill", "separately"])
def test_distillation_with_the_weight_of_its_task(balance: Balance) -> None:
    model, balancer = Model(), Uniform({"height": 0.3}, balance=balance)
    balancer.backward(model.terms(), [], model, WholeStep())
    i, j = torch.arange(6), torch.arange(3)
    expected = (2.5 - i).sign().mean() + 0.3 * ((2 * (2.5 - j)).mean() + 6 * 2.5**2)
    torch.testing.assert_close(model.grad(), expected)
