"""MoDo and SDMGrad: weights from the gradients of independent batches."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from tests.balance.gradient_model import (
    TASKS,
    Net,
    batch,
    build,
    flat_grad,
    grads,
    grouped,
    jacobian,
    losses,
    own_parameters,
    plain_sum,
    reloaded,
    shared_grad,
    step,
)
from tests.train import fixture
from tests.train.fixture import Images, KillAt, Killed, Run, assert_same
from torchjd import aggregation

from tutelage.balance import IndependentDraws
from tutelage.balance.objective import Balance
from tutelage.train import Optim, Stream, TrainConfig, Training, fit, training_loader
from tutelage.types import Balancer, Distiller

METHODS: dict[str, dict[str, Any]] = {"MoDoWeighting": {"gamma": 0.5}, "SDMGradWeighting": {"lr": 1.0, "n_iter": 5}}
BALANCES: tuple[Balance, ...] = get_args(Balance)
STEPS = [[batch(0, 1), batch(2, 3), batch(4, 5)], [batch(6), batch(7, 8), batch(9)], [batch(1), batch(3), batch(5)]]


def balancer(method: str, draws: Any, **kwargs: Any) -> IndependentDraws:
    return IndependentDraws(method, METHODS[method], draws, **kwargs)


@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("draws", [2, 3])
@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_gradient(self, method: str, draws: int, balance: Balance) -> None:
        made = balancer(method, draws, balance=balance)
        assert made.draws == draws
        net, distiller = build(made, "features")
        weightings = [getattr(aggregation, method)(**METHODS[method]) for _ in range(2)]
        shared = net.shared_parameters()
        for data in STEPS:
            found = step(made, net, distiller, *data[:draws])
            each = [losses(net, distiller, x) for x in data[:draws]]
            moving = each if draws == 2 else each[2:]
            expected = []
            groups, _ = grouped(each[0], balance)
            for i, weighting in zip(range(len(groups)), weightings, strict=False):
                matrices = [jacobian(grouped(x, balance)[0][i], shared) for x in each]
                weights = weighting(matrices[0] @ matrices[1].T)
                if i == 0:
                    torch.testing.assert_close(torch.stack([found[t] for t in TASKS]), weights, rtol=1e-4, atol=1e-5)
                update = (matrices[0] + matrices[1]) / 2 if draws == 2 else matrices[2]
                expected.append(weights @ update)
            expected += [flat_grad(x, shared) / len(moving) for part in moving for x in grouped(part, balance)[1]]
            torch.testing.assert_close(shared_grad(net), torch.stack(expected).sum(0), rtol=1e-4, atol=1e-6)
            own = own_parameters(net, distiller)
            plain = [torch.autograd.grad(plain_sum(x), list(own.values()), allow_unused=True) for x in moving]
            for p, *parts in zip(own.values(), *plain, strict=True):
                if parts[0] is not None:  # not what no head reads
                    torch.testing.assert_close(p.grad, torch.stack(parts).mean(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("draws", [2, 3])
@pytest.mark.parametrize("method", METHODS)
class TestSteps:
    def test_accumulated_parts_give_the_gradient_of_the_whole_step(self, method: str, draws: int) -> None:
        parts = [[batch(0, without=["depth"]), batch(1)], [batch(2), batch(3)], [batch(4), batch(5)]]
        whole = [batch(0, 1), batch(2, 3), batch(4, 5)]
        whole[0].targets["depth"].valid[0] = False
        whole[0] = replace(whole[0], labelled={}, counts={})  # counted again
        found = []
        for data in (parts, whole):
            made = balancer(method, draws)
            net, distiller = build(made, "features")
            weights = step(made, net, distiller, *data[:draws])
            found.append((grads(net), grads(distiller), weights))
        for one, other in zip(*found, strict=True):
            for name, value in other.items():
                torch.testing.assert_close(one[name], value, rtol=1e-3, atol=1e-6, msg=name)

    def test_a_task_without_a_label_in_the_update(self, method: str, draws: int) -> None:
        made = balancer(method, draws)
        net, _ = build(made)
        step(made, net, None, *STEPS[0][:draws])
        remembered = {"MoDoWeighting": "_lambda", "SDMGradWeighting": "_w"}[method]
        before = getattr(made.methods["task"], remembered).clone()
        data = [batch(i, without=["depth"]) for i in (1, 3, 5)]
        found = step(made, net, None, *data[:draws])
        assert set(found) == {"segmentation", "normals"}
        assert getattr(made.methods["task"], remembered)[1] == before[1]
        assert shared_grad(net).isfinite().all()
        assert all(p.grad is None for p in net.task_parameters("depth"))
        assert set(step(made, net, None, *STEPS[1][:draws])) == set(TASKS)

    def test_a_task_without_a_label_keeps_its_weight(self, method: str, draws: int) -> None:
        made = balancer(method, draws)
        net, _ = build(made)
        step(made, net, None, *STEPS[0][:draws])
        data = [batch(i, without=["depth"]) for i in (1, 3, 5)]
        step(made, net, None, *data[:draws])
        remembered = {"MoDoWeighting": "_lambda", "SDMGradWeighting": "_w"}[method]
        assert float(getattr(made.methods["task"], remembered).sum()) == pytest.approx(1)

    @pytest.mark.parametrize("missing", [0, 1])
    def test_a_task_without_a_label_in_another_draw(self, method: str, draws: int, missing: int) -> None:
        made = balancer(method, draws)
        net, _ = build(made)
        data = [batch(i, without=["depth"] if draw == missing else []) for draw, i in enumerate((1, 3, 5))]
        assert set(step(made, net, None, *data[:draws])) == set(TASKS)
        assert shared_grad(net).isfinite().all()
        first, second = ({**dict.fromkeys(TASKS), **losses(net, None, x)[0]} for x in data[:2])
        shared = net.shared_parameters()
        rows = [
            torch.stack([torch.zeros(297) if x is None else flat_grad(x, shared) for x in each.values()])
            for each in (first, second)
        ]
        weights = getattr(aggregation, method)(**METHODS[method])(rows[0] @ rows[1].T)
        update = (rows[0] + rows[1]) / 2 if draws == 2 else jacobian(losses(net, None, data[2])[0], shared)
        torch.testing.assert_close(shared_grad(net), weights @ update, rtol=1e-4, atol=1e-6)

    def test_a_first_step_without_a_task(self, method: str, draws: int) -> None:
        made, fresh = balancer(method, draws), balancer(method, draws)
        (net, _), (other, _) = build(made), build(fresh)
        step(made, net, None, *[batch(i, without=["depth"]) for i in (1, 3, 5)][:draws])
        data = STEPS[0][:draws]
        assert_same(step(made, net, None, *data), step(fresh, other, None, *data))
        assert_same(grads(net), grads(other))

    def test_a_resumed_run_is_an_undisturbed_one(self, method: str, draws: int) -> None:
        data = [*STEPS[:2], [batch(i, without=["depth"]) for i in (0, 2, 4)], *STEPS[1:]]

        def run(steps: range, made: Balancer, net: Net, distiller: Distiller | None) -> list[Any]:
            found = []
            for i in steps:
                weights = step(made, net, distiller, *data[i][:draws])
                found.append((weights, grads(net)))
                with torch.no_grad():
                    for p in net.parameters():
                        p -= 0.05 * p.grad if p.grad is not None else 0
            return found

        undisturbed = balancer(method, draws, balance="separately")
        whole = run(range(5), undisturbed, *build(undisturbed, "features"))
        for kill in (1, 3):
            before = balancer(method, draws, balance="separately")
            net, distiller = build(before, "features")
            first = run(range(kill), before, net, distiller)
            state = reloaded({"balancer": before.state_dict(), "net": net.state_dict()})
            after = balancer(method, draws, balance="separately")
            net, distiller = build(after, "features")
            net.load_state_dict(state["net"])
            after.load_state_dict(state["balancer"])
            assert_same(first + run(range(kill, 5), after, net, distiller), whole)


@pytest.mark.parametrize(
    ("method", "arguments", "line"),
    [
        ("MoDo", {}, r"balancer.method: expected a Weighting of torchjd, for example.*MoDoWeighting.*found `MoDo`"),
        ("MGDA", {}, r"balancer.method: expected a Weighting of torchjd.*found `MGDA`"),
        ("MoDoWeighting", {"rate": 1}, r"balancer.arguments: expected arguments of MoDoWeighting \(gamma, rho\)"),
        ("MoDoWeighting", {"gamma": -1}, r"balancer.arguments: expected what MoDoWeighting takes.*gamma=-1"),
    ],
)
def test_what_is_refused(method: str, arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line) as error:
        IndependentDraws(method, arguments).setup(TASKS, Net())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("draws", [1, 2, 3])
def test_the_loader_gives_the_batches_of_every_draw(draws: int, accumulate: int) -> None:
    """As many steps as with one draw; other images in each; from any step on."""
    config = TrainConfig(epochs=4, batch_size=2, accumulate=accumulate)
    streams = fixture.streams_of([Stream(Images(24))], config, draws)
    whole = [fixture.indices(x) for x in training_loader(streams, {}, config, 7)]
    parts = draws * accumulate
    assert len(whole) == streams.length.steps * parts
    for start in range(0, len(whole), parts):
        ids = [i for batch_ids in whole[start : start + parts] for i in batch_ids]
        assert len(set(ids)) == len(ids) == 2 * parts
    for start in (1, 3):
        rest = [fixture.indices(x) for x in training_loader(streams, {}, config, 7, start)]
        assert rest == whole[start * parts :]
    passes = [sorted(i for ids in whole[n : n + 12] for i in ids) for n in range(0, len(whole), 12)]
    assert all(ids == list(range(24)) for ids in passes)


def test_the_images_of_a_step_differ_where_a_pass_ends_within_it() -> None:
    config = TrainConfig(epochs=6, batch_size=2)
    streams = fixture.streams_of([Stream(Images(8))], config, 3)
    whole = [fixture.indices(x) for x in training_loader(streams, {}, config, 7)]
    for start in range(0, len(whole), 3):
        ids = [i for batch_ids in whole[start : start + 3] for i in batch_ids]
        assert len(set(ids)) == 6


@dataclass
class Drawn(Run):
    """A run whose loader gives the batches of every draw."""

    def fit(self, run: Training, config: TrainConfig | None = None, **kwargs: object) -> Training:
        config = config or self.config
        streams = fixture.streams_of([Stream(self.dataset, fixture.MODALITIES)], config, run.balancer.draws)
        loader = training_loader(streams, fixture.TASKS, config, 7, run.step)
        fit(self.fabric, run, fixture.TASKS, loader, config, streams.length, 7, **kwargs)
        return run


@pytest.mark.parametrize(
    ("method", "draws", "accumulate"),
    [("MoDoWeighting", 2, 1), ("MoDoWeighting", 3, 2), ("SDMGradWeighting", 3, 1), ("SDMGradWeighting", 2, 2)],
)
def test_a_killed_run_ends_where_an_undisturbed_one_does(
    tmp_path: Path, method: str, draws: int, accumulate: int
) -> None:
    student = Optim(lambda p: torch.optim.Adam(p, lr=1e-2))
    config = TrainConfig(epochs=2, batch_size=2, student=student, checkpoint_steps=1)
    config = replace(config, accumulate=accumulate, observe_steps=2)
    setup = Drawn(config, lambda: balancer(method, draws), net={"dropout": 0.3, "norm": True})
    whole = setup.fit(setup.build())
    assert whole.step == 12 // accumulate
    path = tmp_path / "checkpoint.pt"
    for kill in (3, 5):
        run = setup.build()
        run.resume(path)
        with pytest.raises(Killed):
            setup.fit(run, checkpoint=path, observer=KillAt(kill))
    run = setup.build()
    assert run.resume(path)
    setup.fit(run, checkpoint=path)
    assert_same(reloaded(run.state_dict()), reloaded(whole.state_dict()))


def test_a_weighting_of_one_gramian_is_refused() -> None:
    with pytest.raises(ValueError, match=r"balancer.method: expected a weighting of two Jacobians' product.*`MGDAW"):
        build(IndependentDraws("MGDAWeighting"))
