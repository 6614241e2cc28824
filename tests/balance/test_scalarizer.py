"""Any scalarizer of torchjd on the losses."""

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.balance.balancer_tester import COUNTS, TASKS, BalancerTester, Model, WholeStep
from tests.train.fixture import assert_same
from torchjd import scalarization
from torchjd.scalarization import FAMO

from tutelage.balance import Scalarizer
from tutelage.balance.objective import Objectives
from tutelage.types import Balancer, Term, TermMap, Terms

ARGUMENTS: dict[str, dict[str, Any]] = {
    "Sum": {},
    "Mean": {},
    "Constant": {"weights": {"shapes": 0.5, "height": 2.0}},
    "COSMOS": {"lambda_": 0.1, "weights": [0.5, 0.5]},
    "DWA": {},
    "FAMO": {"lr": 0.1},
    "GeometricMean": {},
    "IMTLL": {},
    "PBI": {"theta": 0.5, "weights": [1, 2]},
    "Random": {},
    "STCH": {"mu": 0.5},
    "UW": {},
}
METHODS = sorted(ARGUMENTS)


def build(method: str, tasks: Any = TASKS, **kwargs: Any) -> tuple[Scalarizer, Model]:
    balancer, model = Scalarizer(method, ARGUMENTS[method], **kwargs), Model()
    balancer.setup(tasks, model)
    return balancer, model


def backward(balancer: Balancer, model: Model, **kwargs: Any) -> tuple[dict[str, float], float]:
    torch.manual_seed(3)
    weights = balancer.backward(model.terms(**kwargs), [], model, WholeStep())
    return {t: float(w) for t, w in weights.items()}, float(model.grad())


def reference(method: str, losses: Callable[[Model], torch.Tensor]) -> float:
    """torchjd's scalarizer on the losses themselves."""
    arguments = {k: torch.tensor([0.5, 2.0]) if isinstance(v, dict) else v for k, v in ARGUMENTS[method].items()}
    arguments = {k: torch.tensor(v, dtype=torch.float32) if isinstance(v, list) else v for k, v in arguments.items()}
    shape = {"shape": 2} if method in ("FAMO", "UW", "IMTLL") else {}
    made = getattr(scalarization, method)(**shape, **arguments)
    model = Model()
    torch.manual_seed(3)
    made(losses(model)).backward()
    return float(model.grad())


def means(terms: Terms, distilled: bool = False) -> torch.Tensor:
    return torch.stack([
        terms.task[t].mean() + (terms.distill[t].mean() if distilled and t in terms.distill else 0) for t in COUNTS
    ])  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_gradient_is_that_of_the_scalar(self, method: str) -> None:
        balancer, model = build(method)
        _, grad = backward(balancer, model)
        distill = 6 * 2.5**2  # added as it is
        assert grad == pytest.approx(reference(method, lambda m: means(m.terms())) + distill, rel=1e-4)

    def test_distillation_within_the_tasks_objective(self, method: str) -> None:
        balancer, model = build(method, balance="task+distill")
        _, grad = backward(balancer, model)
        assert grad == pytest.approx(reference(method, lambda m: means(m.terms(), distilled=True)), rel=1e-4)

    def test_distillation_balanced_by_itself(self, method: str) -> None:
        balancer, model = build(method, balance="separately")
        both = ("shapes", "height")
        _, grad = backward(balancer, model, distil=both)
        alone = reference(method, lambda m: torch.stack([m.terms(distil=both).distill[t].mean() for t in COUNTS]))
        if method == "Random":  # draws twice
            assert grad > 0
        else:
            assert grad == pytest.approx(reference(method, lambda m: means(m.terms())) + alone, rel=1e-4)

    def test_weights_are_those_of_the_gradient(self, method: str) -> None:
        balancer, model = build(method)
        weights, grad = backward(balancer, model, distil=())
        i, j = torch.arange(6), torch.arange(3)
        each = {"shapes": float((2.5 - i).sign().mean()), "height": float((2 * (2.5 - j)).mean())}
        assert grad == pytest.approx(sum(weights[t] * each[t] for t in each), rel=1e-4)

    def test_a_missing_label_balances_the_rest(self, method: str) -> None:
        balancer, model = build(method)
        backward(balancer, model)
        weights, grad = backward(balancer, model, counts={"height": 3}, distil=())
        assert set(weights) == {"height"}
        assert torch.tensor(grad).isfinite()
        assert grad == pytest.approx(weights["height"] * float((2 * (2.5 - torch.arange(3))).mean()), rel=1e-4)

    def test_no_label_at_all(self, method: str) -> None:
        balancer, model = build(method)
        weights, grad = backward(balancer, model, counts={})
        assert weights == {}
        assert grad == pytest.approx(6 * 2.5**2)

    def test_relabelling_the_tasks_relabels_the_weights(self, method: str) -> None:
        if method in ("Constant", "PBI", "Random"):
            return  # weights belong to tasks; random ones have no order
        one, _ = backward(*build(method))
        other, _ = backward(*build(method, tasks=dict(reversed(TASKS.items()))))
        assert other == pytest.approx(one, rel=1e-5)

    def test_the_order_of_tasks_and_terms_does_not_matter_to_the_gradient(self, method: str) -> None:
        if method in ("PBI", "Random"):
            return
        one, other = build(method), build(method, tasks=dict(reversed(TASKS.items())))
        grads = [backward(*each)[1] for each in (one, other)]
        assert grads[0] == pytest.approx(grads[1], rel=1e-5)

    def test_equal_losses_give_equal_weights(self, method: str) -> None:
        if method in ("Constant", "PBI", "Random"):
            return
        balancer, model = build(method)
        x = model.x.clone()
        terms = model.terms(counts={"shapes": 6, "height": 3}, distil=())
        for term in terms.task.values():
            term.sum, term.count = 2 * model.x - x.detach(), torch.tensor(1)
        weights = balancer.backward(terms, [], model, WholeStep())
        first, second = (float(w) for w in weights.values())
        assert first == pytest.approx(second, rel=1e-5)
        assert first > 0

    def test_a_resumed_run_is_an_undisturbed_one(self, method: str) -> None:
        def run(steps: range, balancer: Scalarizer, model: Model, optimiser: torch.optim.Optimizer | None) -> list[Any]:
            found = []
            for step in steps:
                torch.manual_seed(step)
                if optimiser is not None:
                    optimiser.zero_grad()
                weights = balancer.backward(model.terms(), [], model, WholeStep())
                found.append({t: w.clone() for t, w in weights.items()})
                with torch.no_grad():
                    model.x -= 0.01 * model.grad().sign()
                if optimiser is not None:
                    optimiser.step()
                balancer.after_step(lambda distilled: _detached(model))
                if step % 3 == 2:
                    balancer.end_epoch()
            return found

        def start() -> tuple[Scalarizer, Model, torch.optim.Optimizer | None]:
            balancer, model = build(method)
            parameters = list(balancer.parameters())
            return balancer, model, torch.optim.SGD(parameters, lr=0.1) if parameters else None

        whole = run(range(14), *(undisturbed := start()))
        first = run(range(8), *(before := start()))
        state = {"balancer": before[0].state_dict(), "x": before[1].x.detach().clone()}
        torch.save(state, buffer := io.BytesIO())
        buffer.seek(0)
        state = torch.load(buffer, weights_only=True)
        after = start()
        after[0].load_state_dict(state["balancer"])
        with torch.no_grad():
            after[1].x.copy_(state["x"])
        assert_same(first + run(range(8, 14), *after), whole)
        assert_same(after[0].state_dict(), undisturbed[0].state_dict())


def _detached(model: Model) -> Terms:
    with torch.no_grad():
        return model.terms()


class TestUniformByName(BalancerTester):
    @pytest.fixture
    def balancer(self) -> Balancer:
        return Scalarizer("Constant", {"weights": {"shapes": 1.0, "height": 0.3}})


def test_famo_raises_the_weight_of_what_falls_least() -> None:
    balancer, model = build("FAMO")
    for _ in range(5):
        backward(balancer, model, distil=())
        terms = _detached(model)
        terms.task["height"].sum *= 0.5  # as if its loss had halved
        balancer.after_step(lambda distilled, terms=terms: terms)
    weights, _ = backward(balancer, model, distil=())
    relative = {t: weights[t] / float(model.terms().task[t].mean().detach()) for t in weights}
    assert weights["shapes"] / relative["shapes"] > 0
    made = balancer._methods["task"]
    assert isinstance(made, FAMO)
    shapes, height = torch.softmax(made._w, 0).tolist()
    assert shapes > height


def test_famo_begins_with_the_first_step_that_has_a_label() -> None:
    balancer, model = build("FAMO")
    balancer.begin_step(0.0)
    backward(balancer, model, counts={})
    balancer.after_step(lambda distilled: _detached(model))
    balancer.begin_step(0.0)
    weights, _ = backward(balancer, model)
    assert set(weights) == set(TASKS)
    balancer.after_step(lambda distilled: _detached(model))


def test_famo_learns_by_itself_and_uw_by_an_optimiser() -> None:
    assert not list(build("FAMO")[0].parameters())
    assert len(list(build("UW")[0].parameters())) == 1
    assert len(list(build("IMTLL", balance="separately")[0].parameters())) == 2


def test_a_copy_has_its_own_state() -> None:
    balancer, model = build("DWA")
    backward(balancer, model)
    other = copy.deepcopy(balancer)
    other.end_epoch()
    assert balancer._methods["task"]._previous_averages == []


@pytest.mark.parametrize(
    ("method", "arguments", "line"),
    [
        ("Famo", {}, r"balancer.method: expected a Scalarizer of torchjd, for example FAMO.*found `Famo`"),
        ("torchjd.aggregation.UPGrad", {}, r"balancer.method: expected a Scalarizer of torchjd.*found `torchjd.agg"),
        ("nowhere.Scalar", {}, r"found `nowhere.Scalar`"),
        ("Scalarizer", {}, r"found `Scalarizer`"),
        ("FAMO", {"rate": 1}, r"balancer.arguments: expected arguments of FAMO \(min_losses, lr, .*found `rate`"),
        ("PBI", {"theta": 1}, r"balancer.arguments.weights: expected a value, which PBI needs, found none"),
        ("PBI", {"theta": -1, "weights": [1, 1]}, r"balancer.arguments: expected what PBI takes.*theta = -1"),
        (
            "Constant",
            {"weights": {"shapes": 1}},
            r"Constant.weights: expected a value for each of shapes, he",
        ),
        ("Constant", {"weights": [1]}, r"Constant.weights: expected 2 values, one per task \(shapes, height\), found"),
    ],
)
def test_what_is_refused(method: str, arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line) as error:
        Scalarizer(method, arguments).setup(TASKS, Model())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("method", "arguments", "every"),
    [
        ("PBI", {"theta": 0.5, "weights": 2}, {"theta": 0.5, "weights": [2, 2]}),
        ("STCH", {"mu": 0.5, "reference": -0.1}, {"mu": 0.5, "reference": [-0.1, -0.1]}),
    ],
)
def test_one_number_for_all_tasks(method: str, arguments: dict[str, Any], every: dict[str, Any]) -> None:
    found = []
    for given in (arguments, every):
        balancer, model = Scalarizer(method, given), Model()
        balancer.setup(TASKS, model)
        found.append(backward(balancer, model))
    assert found[0] == found[1]


def test_every_scalarizer_of_torchjd_is_known() -> None:
    assert set(METHODS) == set(scalarization.__all__) - {"Scalarizer"}


@pytest.mark.parametrize("balance", ["task", "task+distill", "separately"])
def test_a_teacher_that_saw_no_image_is_no_objective(balance: str) -> None:
    loss, distance = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    one, none = torch.tensor(1), torch.tensor(0)
    terms = Terms(
        TermMap({"a": Term(loss, one), "b": Term(torch.tensor(0.0), none)}),
        TermMap({"a": Term(distance, one), "b": Term(torch.tensor(0.0), none)}),
    )
    groups, rest = Objectives(balance, ["a", "b"]).split(terms)
    assert [list(of_tasks) for of_tasks in groups.values()] == ([["a"], ["a"]] if balance == "separately" else [["a"]])
    assert sum([*(x for of_tasks in groups.values() for x in of_tasks.values()), *rest]).item() == 5.0
