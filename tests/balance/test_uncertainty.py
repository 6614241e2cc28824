import math
from typing import Any

import pytest
import torch
from tests.balance.balancer_tester import COUNTS, TASKS, BalancerTester, Model, WholeStep

from tutelage.balance import Uncertainty
from tutelage.balance.objective import Balance
from tutelage.types import Balancer


class TestUncertainty(BalancerTester):
    @pytest.fixture
    def balancer(self) -> Balancer:
        return Uncertainty()


def ready(**kwargs: Any) -> tuple[Model, Uncertainty]:
    model, balancer = Model(), Uncertainty(**kwargs)
    balancer.setup(TASKS, model)
    return model, balancer


def test_gradient_is_that_of_the_formula() -> None:
    """sum_t l_t / (c_t exp(s_t)) + s_t / 2 + lambda_t d_t, by autograd on the formula written out."""
    model, balancer = ready(initial=0.7)
    balancer.backward(model.terms(), [], model, WholeStep())
    x, s = model.x, {t: torch.tensor(0.7, requires_grad=True) for t in TASKS}
    formula = (x - torch.arange(6)).abs().mean() / (1 * s["shapes"].exp()) + s["shapes"] / 2
    formula = formula + ((x - torch.arange(3)) ** 2).mean() / (2 * s["height"].exp()) + s["height"] / 2
    expected = torch.autograd.grad(formula + 2 * x**3, [x, *s.values()])
    for got, want in zip([model.grad(), *(p.grad for p in balancer.parameters())], expected, strict=True):
        torch.testing.assert_close(got, want)


def test_weights_and_initial_value() -> None:
    model, balancer = ready()
    weights = balancer.backward(model.terms(), [], model, WholeStep())
    torch.testing.assert_close(weights["shapes"], torch.tensor(math.exp(0.5)))
    torch.testing.assert_close(weights["height"], torch.tensor(math.exp(0.5) / 2))


def test_one_parameter_a_task_in_the_state() -> None:
    _, balancer = ready()
    assert list(balancer.state_dict()) == ["log_variances.shapes", "log_variances.height"]
    assert all(value == -0.5 for value in balancer.state_dict().values())


@pytest.mark.parametrize("counts", [{"shapes": 6}, {"shapes": 6, "height": 0}])
def test_an_absent_task_does_not_move_its_s(counts: dict[str, int]) -> None:
    model, balancer = ready()
    optimiser = torch.optim.SGD(balancer.parameters(), lr=0.1)
    balancer.backward(model.terms(counts), [], model, WholeStep())
    optimiser.step()
    assert balancer.log_variances["height"] == -0.5
    assert balancer.log_variances["shapes"] != -0.5


def test_a_task_labelled_elsewhere_in_the_step_counts_its_share() -> None:
    """The part at hand has no height, another part of the step has: s_t / 2 counts for this part's share."""
    model, balancer = ready()
    balancer.backward(model.terms({"shapes": 6, "height": 0}), [], model, WholeStep(COUNTS, share=0.25))
    torch.testing.assert_close(balancer.log_variances["height"].grad, torch.tensor(0.25 / 2))


def test_learns_the_best_s_of_a_constant_loss() -> None:
    """s_t = log(2 l_t / c_t)."""
    model, balancer = ready()
    model.x.requires_grad_(False)
    optimiser = torch.optim.Adam(balancer.parameters(), lr=0.1)
    for _ in range(300):
        optimiser.zero_grad()
        balancer.backward(model.terms(distil=()), [], model, WholeStep())
        optimiser.step()
    terms = model.terms()
    for t, c in {"shapes": 1, "height": 2}.items():
        best = math.log(2 * terms.task[t].mean().item() / c)
        assert balancer.log_variances[t].item() == pytest.approx(best, abs=1e-3)


@pytest.mark.parametrize("balance", ["task+distill", "separately"])
def test_distillation_within_the_objective_and_by_itself(balance: Balance) -> None:
    model, balancer = ready(initial=0.7, balance=balance)
    weights = balancer.backward(model.terms(), [], model, WholeStep())
    names = ["shapes", "height", *(["distill/shapes", "distill/height"] if balance == "separately" else [])]
    s = {n: torch.tensor(0.7, requires_grad=True) for n in names}
    x, own = model.x, s["distill/height" if balance == "separately" else "height"]
    formula = (x - torch.arange(6)).abs().mean() / s["shapes"].exp() + s["shapes"] / 2
    formula = formula + ((x - torch.arange(3)) ** 2).mean() / (2 * s["height"].exp()) + s["height"] / 2
    formula = formula + 2 * x**3 / (2 * own.exp()) + (own / 2 if balance == "separately" else 0)
    formula.backward()
    torch.testing.assert_close(balancer.log_variances[names[-1]].grad, own.grad)
    for n in s:
        torch.testing.assert_close(balancer.log_variances[n].grad, s[n].grad)
    assert set(weights) == set(names)


def test_a_task_without_labels_does_not_move_by_momentum() -> None:
    model, balancer = ready(initial=0)  # a whole number, too
    optimiser = torch.optim.Adam(balancer.parameters(), lr=0.1)
    before: dict[str, float] = {}
    for counts in ({"shapes": 6, "height": 3}, {"shapes": 6, "height": 0}):
        before = {t: float(s.detach()) for t, s in balancer.log_variances.items()}
        balancer.zero_grad()
        balancer.backward(model.terms(counts), [], model, WholeStep())
        optimiser.step()
    moved = {t: float(s.detach()) != before[t] for t, s in balancer.log_variances.items()}
    assert moved == {"shapes": True, "height": False}
