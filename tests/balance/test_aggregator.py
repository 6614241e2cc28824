"""Any aggregator or weighting of torchjd on the tasks' gradients."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from tests.balance.balancer_tester import WholeStep
from tests.balance.gradient_model import (
    TASKS,
    Distil,
    Net,
    assert_own_gradients_are_plain,
    batch,
    build,
    flat_grad,
    grads,
    grouped,
    jacobian,
    losses,
    reloaded,
    shared_grad,
    step,
)
from tests.train.fixture import assert_same
from torch import Tensor
from torchjd import aggregation

from tutelage.balance import Aggregator, Combined, torchjd_state
from tutelage.balance.objective import Balance, Objectives
from tutelage.balance.rows import gramian
from tutelage.balance.task_gradients import TaskGradients
from tutelage.distill import FeatureDistiller
from tutelage.errors import UserError
from tutelage.train import PartialStep, training_step
from tutelage.types import Batch, Distiller, Output, Term, TermMap, Terms

# Nash-MTL's own solver is asked in a way that cvxpy finds slow.
pytestmark = pytest.mark.filterwarnings("ignore:You are solving a parameterized problem that is not DPP")

WEIGHTS = {"segmentation": 0.5, "depth": 2.0, "normals": 1.0}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "AlignedMTL": {},
    "CAGrad": {"c": 0.5},
    "ConFIG": {},
    "Constant": {"weights": WEIGHTS},
    "DualProj": {},
    "ExcessMTL": {},
    "FairGrad": {"alpha": 1.0},
    "GradDrop": {},
    "GradVac": {},
    "IMTLG": {},
    "Krum": {"n_byzantine": 0, "n_selected": 2},
    "Mean": {},
    "MGDA": {},
    "NashMTL": {"optim_niter": 3},
    "PCD": {},
    "PCGrad": {},
    "Random": {},
    "Sum": {},
    "TrimmedMean": {"trim_number": 1},
    "UPGrad": {},
}
METHODS = sorted(ARGUMENTS)
# Weightings, with or without an aggregator of their own; True: of the Gramian, False: of the Jacobian.
WEIGHTINGS = {
    "AlignedMTLWeighting": True,
    "CAGradWeighting": True,
    "ConstantWeighting": False,
    "DualProjWeighting": True,
    "ExcessMTLWeighting": False,
    "FairGradWeighting": True,
    "GradVacWeighting": True,
    "IMTLGWeighting": True,
    "KrumWeighting": True,
    "MeanWeighting": False,
    "MGDAWeighting": True,
    "PCDWeighting": True,
    "PCGradWeighting": True,
    "RandomWeighting": False,
    "SumWeighting": False,
    "UPGradWeighting": True,
}
EXACT = {"ExcessMTL", "FairGrad", "NashMTL"}  # on parameters alone
WHERE = [(m, w) for m in METHODS for w in ("parameters", "representation") if w == "parameters" or m not in EXACT]
UNWEIGHTED = {"ConFIG", "GradDrop", "TrimmedMean"}
RANDOM = {"GradDrop", "GradVac", "PCGrad", "Random"}
STATEFUL = {"ExcessMTL", "GradVac", "NashMTL", "PCD"}
BALANCES: tuple[Balance, ...] = get_args(Balance)


def slow_but(some: bool, *case: Any) -> Any:
    """A case that is slow, unless it is one of `some` that run the code of all others."""
    return pytest.param(*case, marks=() if some else pytest.mark.slow)


BALANCED = [slow_but(b == "separately" or m in ("ConFIG", "GradDrop", "MGDA"), m, b) for m in METHODS for b in BALANCES]


def balancer(method: str, **kwargs: Any) -> Aggregator:
    name = method if method in ARGUMENTS else method.removesuffix("Weighting")
    return Aggregator(method, ARGUMENTS[name], **kwargs)


def smoothed(alpha: float = 0.6, **kwargs: Any) -> Aggregator:
    return Aggregator("CRMOGMWeighting", {"weighting": "MGDAWeighting", "alpha": alpha}, **kwargs)


def torchjds(method: str) -> Any:
    """The aggregator, or weighting, made without us."""
    name = method if method in ARGUMENTS else method.removesuffix("Weighting")
    arguments = {k: torch.tensor([*v.values()]) if isinstance(v, dict) else v for k, v in ARGUMENTS[name].items()}
    count = {"n_tasks": 3} if method == "NashMTL" else {}
    return getattr(aggregation, method)(**count, **arguments)


def test_every_method_of_torchjd_is_known() -> None:
    bases = {"Aggregator", "WeightedAggregator", "GramianWeightedAggregator", "Weighting"}
    others = {"CRMOGMWeighting", "MoDoWeighting", "SDMGradWeighting"}
    assert set(aggregation.__all__) == bases | others | set(METHODS) | set(WEIGHTINGS)


class Parameters:
    """Expected gradients of the shared parameters, for `where: parameters`."""

    def __init__(self, make: Callable[[], Callable[[Tensor], Tensor]], balance: Balance) -> None:
        self.balance = balance
        self.combine = [make() for _ in range(2 if balance == "separately" else 1)]

    def __call__(self, net: Net, distiller: Distiller | None, data: Batch) -> Tensor:
        groups, rest = grouped(losses(net, distiller, data), self.balance)
        shared = net.shared_parameters()
        torch.manual_seed(3)
        parts = [combine(jacobian(group, shared)) for combine, group in zip(self.combine, groups, strict=True)]
        return torch.stack([*parts, *(flat_grad(x, shared) for x in rest)]).sum(0)


@pytest.mark.parametrize(("method", "balance"), BALANCED)
def test_the_gradient_is_the_aggregators_of_the_jacobian(method: str, balance: Balance) -> None:
    made = balancer(method, balance=balance)
    # GradDrop draws a number a column, whose order follows the memory layout.
    net, distiller = build(made, "features", contiguous=method == "GradDrop")
    expected = Parameters(lambda: torchjds(method), balance)
    for data in (batch(0, 1), batch(2, 3, 4)):  # the second with what it remembers of the first
        step(made, net, distiller, data)
        torch.testing.assert_close(shared_grad(net), expected(net, distiller, data), rtol=1e-4, atol=1e-6)
        assert_own_gradients_are_plain(net, distiller, data)


@pytest.mark.parametrize("balance", BALANCES)
def test_predictions_as_targets(balance: Balance) -> None:
    made = balancer("MGDA", balance=balance)
    net, distiller = build(made, "predictions")
    step(made, net, distiller, batch(0, 1))
    expected = Parameters(lambda: torchjds("MGDA"), balance)(net, distiller, batch(0, 1))
    torch.testing.assert_close(shared_grad(net), expected, rtol=1e-4, atol=1e-6)
    assert_own_gradients_are_plain(net, distiller, batch(0, 1))


@pytest.mark.parametrize("method", WEIGHTINGS)
def test_a_weighting_by_its_name(method: str) -> None:
    made, weighting = balancer(method), torchjds(method)
    net, _ = build(made)
    found = step(made, net, None, batch(0, 1))
    matrix = jacobian(losses(net, None, batch(0, 1))[0], net.shared_parameters())
    torch.manual_seed(3)
    weights = weighting(matrix @ matrix.T if WEIGHTINGS[method] else matrix)
    torch.testing.assert_close(torch.stack([*found.values()]), weights, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(shared_grad(net), weights @ matrix, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("inner", ["MGDAWeighting", "MeanWeighting", "UPGradWeighting"])
def test_a_weighting_within_a_weighting(inner: str) -> None:
    made = Aggregator("CRMOGMWeighting", {"weighting": inner, "alpha": 0.6})
    wrap = aggregation.GramianWeightedAggregator if WEIGHTINGS[inner] else aggregation.WeightedAggregator
    reference = wrap(aggregation.CRMOGMWeighting(torchjds(inner), alpha=0.6))
    net, _ = build(made)
    for data in (batch(0, 1), batch(2, 3, 4)):
        step(made, net, None, data)
        matrix = jacobian(losses(net, None, data)[0], net.shared_parameters())
        torch.testing.assert_close(shared_grad(net), reference(matrix), rtol=1e-4, atol=1e-6)


def test_arguments_of_a_weighting_within() -> None:
    inner = {"method": "CAGradWeighting", "arguments": {"c": 2.0}}
    made = Aggregator("GramianWeightedAggregator", {"gramian_weighting": inner})
    net, _ = build(made)
    step(made, net, None, batch(0, 1))
    matrix = jacobian(losses(net, None, batch(0, 1))[0], net.shared_parameters())
    torch.testing.assert_close(shared_grad(net), aggregation.CAGrad(c=2.0)(matrix), rtol=1e-4, atol=1e-6)


def test_a_class_by_its_import_path() -> None:
    made, other = Aggregator("torchjd.aggregation.MGDA"), Aggregator("MGDA")
    (net, _), (again, _) = build(made), build(other)
    assert_same(step(made, net, None, batch(0)), step(other, again, None, batch(0)))
    assert_same(grads(net), grads(again))


class Representation:
    """Partial derivatives with respect to what the heads read, and to the distilled taps before it."""

    def __init__(self, net: Net, distiller: Distiller | None, data: Batch, balance: Balance) -> None:
        with torch.no_grad():
            taps = {name: tap.requires_grad_() for name, tap in net.features(data.images).items()}
        names = ["last", "bottleneck"] if net.reads == "aliases" else ["last"]
        shared = [taps[name] for name in names]
        seen = taps
        if net.reads == "aliases":
            seen = {name: tap.clone().detach().requires_grad_() for name, tap in taps.items()}
        predictions = net.read(shared[0], shared[1] if len(shared) > 1 else None, TASKS)
        task = {t: TASKS[t].loss(predictions[t], data.targets[t]).mean() for t in data.targets}
        found = {} if distiller is None else distiller(data, Output(predictions, dict(seen), tuple(shared)))
        groups, _ = grouped((task, {t: found[t].mean() for t in TASKS if t in found}), balance)
        self.names = list(names)
        self.leaves = shared
        if balance != "task":  # a tap before the heads is a coordinate of its own, but for the one that they read
            more = list(seen) if net.reads == "aliases" else ["bottleneck"]
            self.names += more
            self.leaves = [*shared, *(seen[name] for name in more)]
        self.matrices = [jacobian(group, self.leaves) for group in groups]

    def through_the_trunk(self, net: Net, data: Batch, cotangent: Tensor) -> Tensor:
        taps = net.features(data.images)
        parts = torch.split(cotangent, [x.numel() for x in self.leaves])
        product = [(taps[name] * part.view_as(taps[name])).sum() for name, part in zip(self.names, parts, strict=True)]
        return flat_grad(torch.stack(product).sum(), net.shared_parameters())


@pytest.mark.parametrize(
    ("method", "balance", "heads"),
    [
        slow_but(heads == "last" or method in ("ConFIG", "GradDrop", "MGDA"), method, balance, heads)
        for method, where in WHERE
        if where == "representation"
        for balance in BALANCES
        for heads in ("last", "aliases")
    ],
)
class TestAtTheRepresentation:
    @pytest.fixture
    def run(self, method: str, balance: Balance, heads: Any) -> tuple[Net, Distiller | None, dict[str, Tensor]]:
        made = balancer(method, balance=balance, where="representation")
        # A random number is drawn for every column, and columns lie as the features do in memory.
        net, distiller = build(made, "features", heads=heads, contiguous=method == "GradDrop")
        return net, distiller, step(made, net, distiller, batch(0, 1))

    def test_gradient(
        self, method: str, balance: Balance, run: tuple[Net, Distiller | None, dict[str, Tensor]]
    ) -> None:
        net, distiller, found = run
        data, shared = batch(0, 1), net.shared_parameters()
        groups, rest = grouped(losses(net, distiller, data), balance)
        at = Representation(net, distiller, data, balance)
        expected = [flat_grad(x, shared) for x in rest]
        torch.manual_seed(3)
        for i, (matrix, group) in enumerate(zip(at.matrices, groups, strict=True)):
            made = torchjds(method)
            if method in UNWEIGHTED:
                expected.append(at.through_the_trunk(net, data, made(matrix)))
                continue
            weights = made.weighting(matrix)
            if i == 0:
                torch.testing.assert_close(torch.stack([found[t] for t in TASKS]), weights, rtol=1e-3, atol=1e-5)
            expected.append(weights @ jacobian(group, shared))  # the exact gradient of the weighted sum
        torch.testing.assert_close(shared_grad(net), torch.stack(expected).sum(0), rtol=1e-3, atol=1e-5)
        assert (found == {}) == (method in UNWEIGHTED)
        assert_own_gradients_are_plain(net, distiller, data)


@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("distil", [None, "predictions"])
def test_at_the_representation_with_what_reads_no_tap(distil: Distil | None, balance: Balance) -> None:
    made = balancer("MGDA", balance=balance, where="representation")
    net, distiller = build(made, distil)
    step(made, net, distiller, batch(0, 1))
    data, shared = batch(0, 1), net.shared_parameters()
    groups, rest = grouped(losses(net, distiller, data), balance)
    at = Representation(net, distiller, data, balance)
    expected = [flat_grad(x, shared) for x in rest]
    for matrix, group in zip(at.matrices, groups, strict=True):
        expected.append(torchjds("MGDA").weighting(matrix) @ jacobian(group, shared))
    torch.testing.assert_close(shared_grad(net), torch.stack(expected).sum(0), rtol=1e-4, atol=1e-6)
    assert_own_gradients_are_plain(net, distiller, data)


# A(J) of T equal gradients g is a multiple of g: sums give T g, means g. The others, measured:
# - CAGrad: the mean plus c times a vector as long as it: 1 + c;
# - FairGrad: (J J^T) w = w^(-1 / alpha), so that with alpha = 1, T |g|^2 w^2 = 1: sqrt(T) / |g|;
# - NashMTL: alike, but scaled to the norm 1: 1 / |g|;
# - Random: softmax weights, whose sum is 1; PCD: the primary gradient; Constant: the sum of the weights;
# - AlignedMTL: the one singular value is sqrt(T) |g|, and each right singular vector's weight 1 / T: 1.
FACTORS: dict[str, Callable[[Tensor], Any]] = {
    **dict.fromkeys(["ConFIG", "GradDrop", "GradVac", "PCGrad", "Sum"], lambda g: 3.0),
    **dict.fromkeys(["AlignedMTL", "DualProj", "ExcessMTL", "IMTLG", "Krum", "Mean", "MGDA", "PCD"], lambda g: 1.0),
    **dict.fromkeys(["Random", "TrimmedMean", "UPGrad"], lambda g: 1.0),
    "CAGrad": lambda g: 1.5,
    "Constant": lambda g: 3.5,
    "FairGrad": lambda g: 3**0.5 / g.norm(),
    "NashMTL": lambda g: 1 / g.norm(),
}


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_equal_gradients_give_a_multiple_of_them(self, method: str) -> None:
        made = balancer(method)
        net, _ = build(made)
        loss = net(batch(0).images).taps["last"].square().sum()
        gradient = flat_grad(loss, net.shared_parameters())
        made.begin_step(0.0)
        torch.manual_seed(3)
        made.backward(Terms(TermMap({t: Term(loss, torch.tensor(1)) for t in TASKS})), [], net, WholeStep())
        made.finish()
        factor = FACTORS[method](gradient)
        torch.testing.assert_close(shared_grad(net), factor * gradient, rtol=2e-3, atol=1e-4 * float(gradient.norm()))

    def test_relabelling_the_tasks_relabels_the_weights(self, method: str) -> None:
        if method == "PCD" or method in RANDOM - {"GradDrop"}:
            return  # its first task is another; in distribution: below
        orders = [tuple(TASKS), ("normals", "segmentation", "depth")]
        found = []
        for order in orders:
            made = balancer(method)
            net, _ = build(made, tasks=order)
            for data in (batch(0, 1), batch(2, 3, 4)):
                weights = step(made, net, None, data)
            found.append((weights, shared_grad(net)))
        (one, gradient), (other, again) = found
        assert {t: float(w) for t, w in other.items()} == pytest.approx({t: float(w) for t, w in one.items()}, rel=1e-2)
        torch.testing.assert_close(again, gradient, rtol=1e-2, atol=1e-3)

    def test_accumulated_parts_give_the_gradient_of_the_whole_step(self, method: str) -> None:
        found = []
        parts = [batch(0, without=["depth"]), batch(1, 2), batch(3)]  # of one step
        for data in (batch_of(parts), parts):
            made = balancer(method, balance="task+distill")
            net, distiller = build(made, "features")
            weights = step(made, net, distiller, data)
            found.append((weights, grads(net), grads(distiller)))
        whole, added = found
        assert {t: float(w) for t, w in added[0].items()} == pytest.approx(
            {t: float(w) for t, w in whole[0].items()}, rel=1e-3, abs=1e-5
        )
        for one, other in zip(added[1:], whole[1:], strict=True):
            for name in one:
                torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=1e-5, msg=name)

    def test_what_is_combined_without_a_task(self, method: str) -> None:
        """The aggregator of the rows that there are; for methods without a memory."""
        if method in STATEFUL:
            return
        made = balancer(method)
        net, _ = build(made, contiguous=True)
        data = batch(2, 3, without=["depth"])
        step(made, net, None, data)
        matrix = jacobian(losses(net, None, data)[0], net.shared_parameters())
        torch.manual_seed(3)
        if method in ("Krum", "TrimmedMean"):  # which need three rows
            expected = matrix.mean(0)
        elif method == "Constant":
            expected = torch.tensor([0.5, 1.0]) @ matrix
        else:
            expected = torchjds(method)(matrix)
        torch.testing.assert_close(shared_grad(net), expected, rtol=1e-4, atol=1e-6)

    def test_a_first_step_without_a_task(self, method: str) -> None:
        """Nothing is remembered of it: the next step is a first one."""
        fresh = balancer(method)
        other, _ = build(fresh)
        expected = step(fresh, other, None, batch(2, 3))
        for task in TASKS:
            made = balancer(method)
            net, _ = build(made)
            step(made, net, None, batch(0, 1, without=[task]))
            assert shared_grad(net).isfinite().all()
            assert_same(step(made, net, None, batch(2, 3)), expected)
            assert_same(grads(net), grads(other))

    def test_a_step_with_one_task_alone_and_with_none(self, method: str) -> None:
        made = balancer(method)
        net, _ = build(made)
        step(made, net, None, batch(0, 1))
        step(made, net, None, batch(2, without=["depth", "normals"]))
        assert shared_grad(net).isfinite().all()
        alone = flat_grad(losses(net, None, batch(2))[0]["segmentation"], net.shared_parameters())
        assert torch.cosine_similarity(shared_grad(net), alone, dim=0) > 0.999
        assert step(made, net, None, batch(2, without=TASKS)) == {}
        assert all(p.grad is None for p in net.parameters())


class TestEveryMethodAnywhere:
    @pytest.mark.parametrize(("method", "where"), WHERE)
    def test_a_missing_task_balances_the_rest_and_is_remembered(self, method: str, where: Any) -> None:
        made = balancer(method, where=where)
        net, _ = build(made)
        step(made, net, None, batch(0, 1))
        before = reloaded(made.get_extra_state())
        weights = step(made, net, None, batch(2, 3, without=["depth"]))
        assert set(weights) <= {"segmentation", "normals"}
        assert shared_grad(net).isfinite().all()
        assert all(p.grad is None for p in net.task_parameters("depth"))
        for old, new in zip(values(before, of="depth"), values(made.get_extra_state(), of="depth"), strict=True):
            assert_same(new, old)
        assert set(step(made, net, None, batch(4, 5))) in (set(TASKS), set())
        assert shared_grad(net).isfinite().all()
        pairs = zip(values(before, of="depth"), values(made.get_extra_state(), of="depth"), strict=True)
        assert any(not torch.equal(old, new) for old, new in pairs) == (method in STATEFUL)

    @pytest.mark.parametrize(
        ("method", "where"), [slow_but(w == "parameters" or m in STATEFUL | {"MGDA", "Random"}, m, w) for m, w in WHERE]
    )
    def test_a_resumed_run_is_an_undisturbed_one(self, method: str, where: Any) -> None:
        kills = (1, 3) if method in STATEFUL else (3,)
        resumed_is_undisturbed(lambda: balancer(method, where=where, balance="separately"), kills)


def resumed_is_undisturbed(make: Callable[[], Aggregator], kills: tuple[int, ...] = (3,)) -> None:
    """Bitwise, over steps with and without a task, before and after."""
    without = [[], [], ["depth"], [], ["normals"]]
    data = [batch(i, i + 1, without=absent) for i, absent in enumerate(without)]

    def run(steps: range, made: Aggregator, net: Net, distiller: Distiller | None) -> list[Any]:
        found = []
        for i in steps:
            weights = step(made, net, distiller, data[i], seed=i)
            found.append((weights, grads(net)))
            with torch.no_grad():
                for p in net.parameters():
                    p -= 0.05 * p.grad if p.grad is not None else 0
        return found

    undisturbed = make()
    whole = run(range(5), undisturbed, *build(undisturbed, "features"))
    for kill in kills:
        before = make()
        net, distiller = build(before, "features")
        first = run(range(kill), before, net, distiller)
        state = reloaded({"balancer": before.state_dict(), "net": net.state_dict()})
        after = make()
        net, distiller = build(after, "features")
        net.load_state_dict(state["net"])
        after.load_state_dict(state["balancer"])
        assert_same(first + run(range(kill, 5), after, net, distiller), whole)
        assert_same(reloaded(after.state_dict()), reloaded(undisturbed.state_dict()))


def test_a_memory_of_coordinates_at_the_representation() -> None:
    with pytest.raises(ValueError, match=r"balancer.where: expected `parameters` for ExcessMTL, whose weights follow"):
        build(balancer("ExcessMTL", where="representation"))


def test_a_resumed_run_of_a_smoothed_weighting() -> None:
    resumed_is_undisturbed(lambda: smoothed(balance="separately"), (1, 3))


def test_nash_takes_its_last_weights_where_a_task_is_missing() -> None:
    made, reference = balancer("NashMTL"), torchjds("NashMTL")
    net, _ = build(made)
    step(made, net, None, batch(0, 1))
    reference(jacobian(losses(net, None, batch(0, 1))[0], net.shared_parameters()))
    data = batch(2, 3, without=["segmentation"])
    found = step(made, net, None, data)
    matrix = jacobian(losses(net, None, data)[0], net.shared_parameters())
    last = torch.from_numpy(reference.weighting.prvs_alpha).float()[1:]
    assert (last @ matrix).norm() > 1
    last /= (last @ matrix).norm()  # its `max_norm`
    torch.testing.assert_close(torch.stack([*found.values()]), last, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(shared_grad(net), last @ matrix, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", ["UPGrad", "DualProj", "AlignedMTL", "ConFIG"])
def test_a_preference_is_of_the_tasks_that_there_are(method: str) -> None:
    made = Aggregator(method, {"pref_vector": WEIGHTS})
    net, _ = build(made)
    for data, preference in (
        (batch(0, 1), [0.5, 2.0, 1.0]),
        (batch(2, without=["depth"]), [0.5, 1.0]),
        (batch(2, without=["segmentation"]), [2.0, 1.0]),
        (batch(4, 5), [0.5, 2.0, 1.0]),
    ):
        step(made, net, None, data)
        matrix = jacobian(losses(net, None, data)[0], net.shared_parameters())
        expected = getattr(aggregation, method)(pref_vector=torch.tensor(preference))(matrix)
        torch.testing.assert_close(shared_grad(net), expected, rtol=1e-4, atol=1e-6)


def test_smoothed_weights_keep_a_missing_tasks() -> None:
    made = smoothed()
    net, _ = build(made)
    before = step(made, net, None, batch(0, 1))
    data = batch(2, 3, without=["depth"])
    found = step(made, net, None, data)
    matrix = jacobian(losses(net, None, data)[0], net.shared_parameters())
    new = aggregation.MGDAWeighting()(matrix @ matrix.T)
    for i, t in enumerate(["segmentation", "normals"]):
        torch.testing.assert_close(found[t], 0.6 * before[t] + 0.4 * new[i], rtol=1e-4, atol=1e-6)
    again = step(made, net, None, batch(0, 1))
    torch.testing.assert_close(again["depth"], before["depth"], rtol=1e-4, atol=1e-6)  # 0.6 x + 0.4 x


def test_smoothing_begins_with_the_given_weights() -> None:
    arguments = {"weighting": "MGDAWeighting", "alpha": 0.6, "initial_weights": WEIGHTS}
    made = Aggregator("CRMOGMWeighting", arguments)
    net, _ = build(made)
    assert set(step(made, net, None, batch(0, without=["depth"]))) == {"segmentation", "normals"}
    found = step(made, net, None, batch(0, 1))
    matrix = jacobian(losses(net, None, batch(0, 1))[0], net.shared_parameters())
    expected = 0.6 * torch.tensor([*WEIGHTS.values()]) + 0.4 * aggregation.MGDAWeighting()(matrix @ matrix.T)
    torch.testing.assert_close(torch.stack([*found.values()]), expected, rtol=1e-4, atol=1e-6)


def test_a_missing_task_keeps_its_weight() -> None:
    made = Aggregator("ExcessMTL", {"robust_step_size": 1e-6})
    net, _ = build(made)
    before = step(made, net, None, batch(0, 1))
    step(made, net, None, batch(2, 3, without=["depth"]))
    after = step(made, net, None, batch(0, 1))
    assert float(after["depth"]) == pytest.approx(float(before["depth"]), rel=1e-3)


@pytest.mark.parametrize("method", ["Sum", "MGDA"])
def test_aggregator_that_are_set_to_zero_in_place(method: str) -> None:
    """As by `zero_grad(set_to_none=False)`."""
    made = balancer(method)
    net, _ = build(made)
    step(made, net, None, batch(0, 1))
    first = shared_grad(net)
    net.zero_grad(set_to_none=False)
    made.begin_step(0.0)
    training_step([batch(0, 1)], net, TASKS, None, made, PartialStep.split([[batch(0, 1)]], None)[0])
    made.finish()
    torch.testing.assert_close(shared_grad(net), first)


@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("where", ["parameters", "representation"])
def test_in_low_precision(where: Any, balance: Balance) -> None:
    found = []
    for low in (False, True):
        made = Aggregator("UPGrad", where=where, balance=balance)
        net, distiller = build(made, "features")
        made.begin_step(0.0)
        data = [batch(0, 1)]
        reduce = PartialStep.split([data], distiller)[0]
        training_step(data, net, TASKS, distiller, made, reduce, lambda low=low: torch.autocast("cpu", enabled=low))
        made.finish()
        assert all(p.grad is None or p.grad.dtype == torch.float32 for p in net.parameters())
        found.append(shared_grad(net))
    assert torch.cosine_similarity(*found, dim=0) > 0.99


@pytest.mark.parametrize("method", ["GradVac", "PCGrad", "Random"])
def test_random_weights_have_the_same_distribution_for_all_orders(method: str) -> None:
    """Their mean over many draws belongs to the task."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(3, 6, generator=generator)
    matrix[1] -= 2 * matrix[0]
    means = []
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        torch.manual_seed(1)
        total = torch.zeros(3)
        for _ in range(400):
            made = balancer(method)
            made.objectives, made.methods = Objectives("task", TASKS), {"task": torchjds(method)}
            combined = made.combine(TaskGradients(list(TASKS), [0, 1, 2], torch.ones(3), [matrix[order]], "task", {}))
            assert combined.weights is not None
            total[order] += combined.weights / 400
        means.append(total)
    assert means[0].std() > 0.01 or method == "Random"
    for mean in means[1:]:
        torch.testing.assert_close(mean, means[0], rtol=0, atol=0.06)


@pytest.mark.parametrize("where", ["parameters", "representation"])
def test_distillation_without_a_label(where: Any) -> None:
    """It is added as it is, within the objective it is all of it, and separately it is a group of its own."""
    data = batch(0, 1, without=["depth"])
    for balance in BALANCES:
        made = Aggregator("Sum", where=where, balance=balance)
        net, distiller = build(made, "features")
        step(made, net, distiller, data)
        task, distil = losses(net, distiller, data)
        assert set(task) == {"segmentation", "normals"}
        expected = flat_grad(torch.stack([*task.values(), *distil.values()]).sum(), net.shared_parameters())
        torch.testing.assert_close(shared_grad(net), expected, rtol=1e-4, atol=1e-6)
        assert_own_gradients_are_plain(net, distiller, data)


def test_two_sources_in_a_step() -> None:
    """Each has its own images and labels; the representation is that of both."""
    one, two = batch(0, 1, without=["depth", "normals"]), batch(2, 3, without=["segmentation"])
    found = {}
    for where in ("parameters", "representation"):
        made = Aggregator("Sum", where=where)
        net, distiller = build(made, "features")
        made.begin_step(0.0)
        training_step([one, two], net, TASKS, distiller, made, PartialStep.split([[one, two]], distiller)[0])
        made.finish()
        found[where] = shared_grad(net)
    torch.testing.assert_close(found["representation"], found["parameters"], rtol=1e-4, atol=1e-6)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("method", "arguments", "line"),
        [
            ("UpGrad", {}, r"balancer.method: expected a.*for example.*UPGrad.*found `UpGrad`"),
            ("torchjd.scalarization.FAMO", {}, r"balancer.method: expected a.*found `torchjd.scalarization.FAMO`"),
            ("nowhere.Aggregator", {}, r"found `nowhere.Aggregator`"),
            ("Aggregator", {}, r"found `Aggregator`"),
            ("MoDoWeighting", {}, r"a method of one batch a step, found `MoDoWeighting`; use.*IndependentDraws"),
            ("SDMGradWeighting", {}, r"found `SDMGradWeighting`; use.*IndependentDraws"),
            ("torchjd.aggregation.MoDoWeighting", {}, r"balancer.method: expected a method"),
            ("CAGrad", {}, r"balancer.arguments.c: expected a value, which CAGrad needs, found none"),
            ("CAGrad", {"C": 1}, r"balancer.arguments: expected arguments of CAGrad \(c, norm_eps\), found `C`"),
            ("CAGrad", {"c": -1}, r"balancer.arguments: expected what CAGrad takes.*c must be non-negative"),
            ("CRMOGMWeighting", {"weighting": "MGDA"}, r"balancer.method: expected a Weighting.*found `MGDA`"),
            ("CRMOGMWeighting", {"weighting": {"name": "MGDA"}}, r"balancer.arguments.weighting: expected the name"),
            ("Constant", {"weights": {"depth": 1}}, r"Constant.weights: expected a value for each of segmentation, d"),
            ("Constant", {"weights": [1, 2]}, r"Constant.weights: expected 3 values, one per task .*found 2"),
            (
                "Krum",
                {"n_byzantine": 1},
                r"balancer.method: expected a method for 3 tasks with arguments that it takes, found `Krum`",
            ),
            (
                "TrimmedMean",
                {"trim_number": 2},
                r"balancer.method: expected a method for 3 tasks with arguments that it takes, found `Trimmed",
            ),
        ],
    )
    def test_before_training(self, method: str, arguments: dict[str, Any], line: str) -> None:
        with pytest.raises(ValueError, match=line) as error:
            Aggregator(method, arguments).setup(TASKS, Net())
        assert "\n" not in str(error.value)

    def test_one_task(self) -> None:
        with pytest.raises(ValueError, match=r"two tasks or more for Aggregator.*found depth; take .*Uniform") as error:
            Aggregator("MGDA").setup({"depth": TASKS["depth"]}, Net(["depth"]))
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("heads", "line"),
        [
            ("nothing", r"balancer.where: expected `parameters` for Net, which has no tensors that all.*Output.shared"),
            ("both", r"balancer.where: expected tensors in Net's Output.shared of which none is computed from another"),
        ],
    )
    def test_a_network_without_a_representation(self, heads: Any, line: str) -> None:
        made = Aggregator("MGDA", where="representation")
        net, _ = build(made, heads=heads)
        with pytest.raises(ValueError, match=line) as error:
            step(made, net, None, batch(0))
        assert "\n" not in str(error.value)
        exact = Aggregator("MGDA")
        step(exact, build(exact, heads=heads)[0], None, batch(0))

    def test_accumulation_at_the_representation(self) -> None:
        assert Aggregator("MGDA", where="representation").whole_step
        assert not Aggregator("MGDA").whole_step


def batch_of(parts: list[Batch]) -> Batch:
    """The same images in one batch."""
    indices = [view.index for part in parts for view in part.views]
    whole = batch(*indices)
    without = {view.index: set(TASKS) - set(part.targets) for part in parts for view in part.views}
    for row, i in enumerate(indices):
        for t in without[i]:
            whole.targets[t].valid[row] = False
    return replace(whole, labelled={}, counts={})  # counted again


def values(state: Any, of: str, count: int = 3) -> Iterator[Tensor]:
    """What a state has of one task: entries of vectors, rows (and columns) of matrices."""
    if isinstance(state, Tensor):
        if state.shape[:1] == (count,):
            i = list(TASKS).index(of)
            yield torch.stack([state[i], state[:, i]]) if state.shape == (count, count) else state[i].clone()
    elif isinstance(state, dict):
        for value in state.values():
            yield from values(value, of, count)
    elif isinstance(state, list):
        for value in state:
            yield from values(value, of, count)


@pytest.mark.parametrize("method", ["CAGrad", "UPGrad", "DualProj", "MGDA", "IMTLG"])
def test_small_gradients_of_features_are_not_taken_for_none(method: str) -> None:
    """The guards of torchjd are for gradients of parameters; a mean loss has features' gradients below them."""
    found = []
    for factor in (1.0, 1e-4):
        made = balancer(method, where="representation")
        build(made)
        matrix = factor * torch.tensor([[1.0, 0.0, 0.5], [-0.5, 1.0, 0.0], [0.2, 0.2, -1.0]])
        found.append(made.combine(TaskGradients([*TASKS], [0, 1, 2], torch.ones(3), [matrix], "task", {})).weights)
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)
    assert found[0].sum() > 0.1


@pytest.mark.parametrize("method", ["NashMTL", "FairGrad"])
def test_weights_that_follow_the_size_of_gradients_are_of_parameters(method: str) -> None:
    with pytest.raises(ValueError, match=rf"balancer.where: expected `parameters` for {method}"):
        build(balancer(method, where="representation"))


def test_weights_of_distillation_are_seen() -> None:
    made = balancer("MGDA", balance="separately")
    net, distiller = build(made, "features")
    assert set(step(made, net, distiller, batch(0, 1))) == {*TASKS, *(f"distill/{t}" for t in TASKS)}


@pytest.mark.parametrize("where", ["parameters", "representation"])
def test_aggregator_that_are_no_numbers_are_named(where: Any) -> None:
    made = balancer("CAGrad", where=where)
    net, _ = build(made)
    net.heads["depth"].weight.data[:] = torch.nan
    with pytest.raises(FloatingPointError, match=r"^the gradients of depth are not finite; lower"):
        step(made, net, None, batch(0, 1))


def test_a_solver_that_fails_is_named() -> None:
    class Solver(Aggregator):
        def combine(self, gradients: TaskGradients) -> Combined:
            raise TypeError("no\nsolution")

    made = Solver("UPGrad")
    net, _ = build(made)
    with pytest.raises(
        UserError, match=r"^Solver expected gradients of segmentation, depth, normals .* TypeError: no solution; t"
    ):
        step(made, net, None, batch(0, 1))


@pytest.mark.parametrize("match", [{"last": "last"}, {"bottleneck": "bottleneck"}])
def test_of_the_taps_those_that_are_distilled_are_the_representation(match: dict[str, str]) -> None:
    sizes = []

    class Watched(Aggregator):
        def combine(self, gradients: TaskGradients) -> Combined:
            sizes.append([z.shape[1] for z in gradients.features])
            return super().combine(gradients)

    made = Watched("MGDA", where="representation", balance="task+distill")
    net, _ = build(made)
    with torch.random.fork_rng([]):
        teachers = {t: Net([t]) for t in TASKS}
        distiller = FeatureDistiller(net, teachers, torch.rand(1, 3, 4, 6), match)
    distiller.setup(TASKS)
    step(made, net, distiller, batch(0, 1))
    assert sizes == [[5, 4] if "bottleneck" in match else [5]]


@pytest.mark.parametrize("name", ["PCD", "torchjd.aggregation.PCD", "PCDWeighting", "within"])
def test_the_primary_task_has_no_tau(name: str) -> None:
    arguments: dict[str, Any] = {"tau": {"depth": 0.1, "normals": 0.2}}
    if name == "within":
        name, arguments = "CRMOGMWeighting", {"weighting": {"method": "PCDWeighting", "arguments": arguments}}
    made = Aggregator(name, arguments)
    net, _ = build(made)
    step(made, net, None, batch(0, 1))
    assert shared_grad(net).isfinite().all()


@pytest.mark.parametrize("where", ["parameters", "representation"])
def test_no_graph_outlives_a_step(where: Any) -> None:
    made = balancer("MGDA", where=where)
    net, distiller = build(made, "features")
    made.begin_step(0.0)
    data = batch(0, 1)
    terms, _ = training_step([data], net, TASKS, distiller, made, PartialStep.split([[data]], distiller)[0])
    made.finish()
    assert not any(term.sum.requires_grad for part in (terms.task, terms.distill) for term in part.values())
    assert not made._features.matrices


def test_every_place_of_torchjds_state_is_still_there() -> None:
    """`torchjd_state.py` knows them by name: a newer torchjd that renames one would lose it silently."""
    matrix = torch.eye(3, 6)
    buffers = {type(m).__name__: m for m in (aggregation.GradVacWeighting(), aggregation.PCDWeighting(0.1))}
    for made in buffers.values():
        made(matrix @ matrix.T)
    weightings = {**buffers, "ExcessMTLWeighting": aggregation.ExcessMTLWeighting()}
    weightings |= {name: getattr(aggregation, name)() for name in ("MoDoWeighting", "SDMGradWeighting")}
    held = {name for made in buffers.values() for name in made._buffers}
    assert set(torchjd_state._ON_CPU) <= held
    for name, buffer in torchjd_state._SUM_TO_1.items():
        assert buffer in weightings[name]._buffers
    assert "_tau" in vars(buffers["PCDWeighting"])
    assert all("_state_key" in vars(made) for made in weightings.values())
    nash = aggregation.NashMTL(3)
    assert nash.weighting.prvs_alpha.shape == (3,)
    assert callable(nash.weighting._init_optim_problem)


@pytest.mark.parametrize("columns", [1, 32768, 70001])
def test_the_gramian_in_blocks(columns: int) -> None:
    matrix = torch.randn(3, columns, generator=torch.Generator().manual_seed(0))
    exact = matrix.double() @ matrix.double().T
    torch.testing.assert_close(gramian(matrix), exact.float(), rtol=1e-5, atol=1e-3)


def test_heads_that_share_a_computation_behind_the_representation() -> None:
    """Its graph is needed by each of them, and is not freed by the first."""

    class Shared(Net):
        def read(self, last: Tensor, bottleneck: Tensor | None, tasks: Any) -> dict[str, Tensor]:
            return super().read(last.tanh(), bottleneck, tasks)

    made = balancer("Sum", where="representation")
    with torch.random.fork_rng([]):
        torch.manual_seed(26)
        net = Shared()
    made.setup(TASKS, net)
    step(made, net, None, batch(0, 1, without=["depth", "normals"]))  # alone it may be
    step(made, net, None, batch(0, 1))
    total = torch.stack([*losses(net, None, batch(0, 1))[0].values()]).sum()
    torch.testing.assert_close(shared_grad(net), flat_grad(total, net.shared_parameters()), rtol=1e-4, atol=1e-6)
