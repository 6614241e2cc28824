import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from tests.train.fixture import Images, KillAt, Killed, Run, assert_same, indices, streams_of

from tutelage.balance import Aggregator, Combined, MoCo, TaskGradients, Uncertainty, Uniform
from tutelage.data import Augment
from tutelage.distill import OnlineDistiller
from tutelage.train import JsonLines, NonFiniteError, Stream, TrainConfig, recorder, training_loader
from tutelage.train.optim import Optim
from tutelage.types import Terms

CONFIG = TrainConfig(epochs=4, batch_size=4, augment=Augment(), student=Optim(lambda p: torch.optim.Adam(p, lr=1e-2)))


@pytest.mark.parametrize("change", [{}, {"ema": 0.9}, {"accumulate": 3}, {"clip_norm": 0.1}], ids=str)
@pytest.mark.parametrize("kills", [(7,), (2, 5, 11)])
def test_a_killed_run_ends_where_an_undisturbed_one_does(tmp_path: Path, kills: tuple[int, ...], change: dict) -> None:
    config = replace(CONFIG, checkpoint_steps=2, epochs=12 if "accumulate" in change else 4, **change)
    setup = Run(config, Uncertainty, net={"dropout": 0.3, "norm": True})
    whole = setup.fit(setup.build())
    path = tmp_path / "checkpoint.pt"
    for kill in kills:
        run = setup.build()
        run.resume(path)
        with pytest.raises(Killed):
            setup.fit(run, checkpoint=path, observer=KillAt(kill))
    run = setup.build()
    assert run.resume(path)
    assert run.step == kills[-1] - 1 if kills[-1] % 2 else run.step < kills[-1]
    setup.fit(run, checkpoint=path)
    assert_same(run.state_dict(), whole.state_dict())


def test_a_step_trains_everything_that_should_and_nothing_else() -> None:
    setup = Run(replace(CONFIG, max_steps=3), Uncertainty, net={"norm": True})
    run = setup.build()
    teachers = {
        t: {k: v.clone() for k, v in net.state_dict().items()} for t, net in run.distiller.teachers.networks.items()
    }
    before = {k: v.clone() for k, v in run.state_dict()["student"].items()}
    adaptors = [p.clone() for p in run.distiller.parameters()]
    balancer = [p.clone() for p in run.balancer.parameters()]
    setup.fit(run)
    assert run.step == 3
    assert_same({t: net.state_dict() for t, net in run.distiller.teachers.networks.items()}, teachers)
    assert all(not torch.equal(v, before[k]) for k, v in run.state_dict()["student"].items())
    assert all(not torch.equal(p, q) for p, q in zip(run.distiller.parameters(), adaptors, strict=True))
    assert all(not torch.equal(p, q) for p, q in zip(run.balancer.parameters(), balancer, strict=True))


def test_clipping_concerns_the_student_alone() -> None:
    norms: dict[str, float] = {}

    class Watch(torch.optim.SGD):
        def step(self, closure: Callable | None = None) -> None:
            grads = [p.grad for group in self.param_groups for p in group["params"]]
            norms[self.name] = float(torch.stack([g.norm() for g in grads]).norm())
            super().step(closure)

    setup = Run(replace(CONFIG, max_steps=1, clip_norm=1e-3))
    run = setup.build()
    for name, module in (("student", run.student), ("adaptors", run.distiller)):
        optimizer = Watch([p for p in module.parameters() if p.requires_grad], lr=0.0)
        optimizer.name = name
        run.optimisers.optimizers[name] = optimizer
    setup.fit(run)
    assert norms["student"] == pytest.approx(1e-3, rel=1e-3)
    assert norms["adaptors"] > 1e-2


def test_networks_beside_the_student_are_clipped_as_it_is() -> None:
    setup = Run(replace(CONFIG, max_steps=1, clip_norm=1e-3))
    setup.distiller = lambda *given: OnlineDistiller(*given, {"last": "last"})
    run = setup.fit(setup.build())
    for network in (run.student, *run.distiller.networks()):
        norm = torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None]).norm()
        assert norm == pytest.approx(1e-3, rel=1e-3)


def test_the_average_is_the_moving_average_of_the_weights() -> None:
    setup = Run(replace(CONFIG, max_steps=1, ema=0.75))
    run = setup.build()
    start = run.student.trunk[0].weight.clone()
    setup.fit(run)
    torch.testing.assert_close(run.result.trunk[0].weight, run.student.trunk[0].weight)  # the first is a copy
    one = run.student.trunk[0].weight.clone()
    setup.fit(run, replace(CONFIG, max_steps=2, ema=0.75))
    torch.testing.assert_close(run.result.trunk[0].weight, 0.75 * one + 0.25 * run.student.trunk[0].weight)
    assert not torch.equal(start, one)


class Broken(Images):
    """Image 5 has an infinite pixel."""

    def __getitem__(self, index: int) -> dict:
        sample = super().__getitem__(index)
        if index == 5:
            sample["image"][0, 3, 3] = float("inf")
        return sample


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    config = replace(CONFIG, augment=None, batch_size=1, log_steps=1000, epochs=1)
    setup = Run(config, dataset=Broken(), distill=False)
    loader = training_loader(streams_of([Stream(Broken())], config), {}, config, 7)
    bad = next(step for step, batch in enumerate(loader, 1) if indices(batch) == [5])
    path = tmp_path / "checkpoint.pt"
    run = setup.build()
    with pytest.raises(NonFiniteError) as error:
        setup.fit(run, replace(config, checkpoint_steps=1), checkpoint=path)
    for part in ("loss/segmentation", f"step {bad} ", "0.01", "the last checkpoint is from before it"):
        assert part in str(error.value)
    good = setup.build()
    assert good.resume(path)
    assert good.step == bad - 1
    assert all(p.isfinite().all() for p in good.student.parameters())


def test_the_loop_offers_what_balancers_ask_for() -> None:
    calls: list[str] = []

    class Asking(Uniform):
        def after_step(self, again: Callable[[bool], Terms]) -> None:
            terms = again(True)
            assert not terms.task["depth"].sum.requires_grad
            assert not any(term.sum for term in again(False).distill.values())
            calls.append(f"again {int(terms.distill['depth'].count)}")

        def end_epoch(self) -> None:
            calls.append("epoch")

    setup = Run(replace(CONFIG, epochs=2, batch_size=6), Asking)
    setup.fit(setup.build())
    assert calls == ["again 6", "again 6", "epoch"] * 2


def test_the_log_has_every_interval_once_after_a_resume(tmp_path: Path) -> None:
    log, path = tmp_path / "log.jsonl", tmp_path / "checkpoint.pt"
    setup = Run(replace(CONFIG, log_steps=2, checkpoint_steps=5))
    for kill in (9, None):
        run = setup.build()
        run.resume(path)
        fabric = Fabric(accelerator="cpu", devices=1, loggers=[JsonLines(log, after=run.step)])
        setup = replace(setup, fabric=fabric)
        try:
            setup.fit(run, checkpoint=path, observer=KillAt(kill) if kill else None)
        except Killed:
            with log.open("a") as file:
                file.write('{"step": 10, "epo')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    health = [line for line in lines if "rank/depth/last" in line]
    assert [line["step"] for line in health] == [3, 6, 9, 12]  # after every epoch
    lines = [line for line in lines if line not in health]
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10, 12]
    assert {"loss/depth", "distill/depth", "distance/depth/last", "weight/depth", "lr/student", "epoch"} <= set(
        lines[0]
    )


def test_bf16_trains(tmp_path: Path) -> None:
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    config = replace(CONFIG, max_steps=1, student=Optim(lambda p: torch.optim.SGD(p, lr=1e-2)))
    setup, exact = (Run(config, Uncertainty, net={"norm": True}, **f) for f in ({"fabric": fabric}, {}))
    start, run, reference = setup.build(), setup.fit(setup.build()), exact.fit(exact.build())
    ways = [
        torch.cat([(p - q).flatten() for p, q in zip(x.student.parameters(), start.student.parameters(), strict=True)])
        for x in (run, reference)
    ]
    assert all(p.dtype == torch.float32 for p in run.student.parameters())
    assert torch.cosine_similarity(*ways, dim=0) > 0.99
    assert not torch.equal(*ways)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "train.epochs: expected at least 1, found 0"),
        ({"max_steps": 0}, "train.max_steps: expected at least 1 or null, found 0"),
        ({"clip_norm": -1.0}, "train.clip_norm: expected a positive number or null"),
        ({"ema": 1.0}, "train.ema: expected a decay between 0 and 1"),
        ({"workers": -1}, "train.workers: expected 0 or more"),
        ({"devices": 5}, r"train.devices: expected 1 or more, and no more than the 4 images of a batch .*, found 5"),
    ],
)
def test_a_wrong_value_is_one_line(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        replace(CONFIG, **change)
    assert "\n" not in str(error.value)


def test_a_batch_larger_than_the_data_is_one_line() -> None:
    with pytest.raises(ValueError, match="expected at most the 12 training images, found 13 x 1"):
        streams_of([Stream(Images())], replace(CONFIG, batch_size=13))


def test_a_run_that_diverges_at_the_end_of_an_epoch_says_so() -> None:
    """The log's line is far away, and adaptors that are not finite have no singular values."""
    setup = Run(replace(CONFIG, log_steps=1000, student=Optim(lambda p: torch.optim.SGD(p, lr=1e30))))
    with pytest.raises(NonFiniteError, match=r"not finite at step 2 \(epoch .*"):
        setup.fit(setup.build())


@pytest.mark.parametrize(("log_steps", "steps"), [(None, list(range(1, 13))), (5, [5, 10, 12])])
def test_a_short_run_has_a_curve(tmp_path: Path, log_steps: int | None, steps: list[int]) -> None:
    setup = Run(replace(CONFIG, log_steps=log_steps))
    setup.fabric = Fabric(accelerator="cpu", devices=1, precision="32-true", loggers=JsonLines(tmp_path / "log", 0))
    setup.fit(setup.build())
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss/depth" in line] == steps


def test_looking_at_conflict_changes_nothing(tmp_path: Path) -> None:
    config = replace(CONFIG, observe_steps=2, log_steps=4)
    runs = []
    for n, each in enumerate((CONFIG, config)):
        setup = Run(each, Uncertainty, net={"norm": True})
        setup.fabric = Fabric(
            accelerator="cpu", devices=1, precision="32-true", loggers=JsonLines(tmp_path / f"{n}", 0)
        )
        runs.append(setup.fit(setup.build()))
    assert_same(runs[0].state_dict()["student"], runs[1].state_dict()["student"])
    lines = [[json.loads(line) for line in (tmp_path / n).read_text().splitlines()] for n in ("0", "1")]
    seen = [[line["step"] for line in log if "gradient/conflicting" in line] for log in lines]
    assert seen == [[3, 6, 9, 12], [2, 4, 6, 8, 10, 12]]
    for line in lines[1]:
        if "gradient/conflicting" in line:
            assert line["gradient/conflicting"] == float(line["gradient/cosine/segmentation/depth"] < 0)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_aggregator_are_balanced_in_the_loop_and_after_a_kill(tmp_path: Path, accumulate: int) -> None:
    config = replace(CONFIG, checkpoint_steps=2, epochs=6, batch_size=2, accumulate=accumulate)
    setup = Run(config, lambda: MoCo(balance="separately"), net={"dropout": 0.3})
    whole = setup.fit(setup.build())
    run, path = setup.build(), tmp_path / "checkpoint.pt"
    with pytest.raises(Killed):
        setup.fit(run, checkpoint=path, observer=KillAt(7))
    run = setup.build()
    assert run.resume(path)
    setup.fit(run, checkpoint=path)
    assert_same(run.state_dict(), whole.state_dict())


def test_a_solver_that_fails_on_what_is_no_number_is_told_as_that() -> None:
    class Solver(Aggregator):
        def combine(self, gradients: TaskGradients) -> Combined:
            if not gradients.matrix.isfinite().all():
                raise ArithmeticError("no solution")
            return super().combine(gradients)

    config = replace(CONFIG, student=Optim(lambda p: torch.optim.SGD(p, lr=1e30)))
    setup = Run(config, lambda: Solver("UPGrad"))
    with pytest.raises(NonFiniteError, match=r"not finite at step \d"):
        setup.fit(setup.build())


def test_aggregator_that_are_no_numbers_end_a_run_as_losses_do() -> None:
    class Overflow(Aggregator):
        def combine(self, gradients: TaskGradients) -> Combined:
            gradients.matrix[1] = torch.inf
            raise ArithmeticError("no solution")

    setup = Run(CONFIG, lambda: Overflow("UPGrad"))
    with pytest.raises(NonFiniteError, match=r"^the gradients of depth are not finite; lower .*; found at step 1$"):
        setup.fit(setup.build())


def test_conflict_is_looked_at_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(recorder, "conflict", lambda terms, net, world: seen.append(terms) or {})
    setup = Run(replace(CONFIG, accumulate=2, batch_size=2, epochs=1))
    setup.fit(setup.build())
    assert len(seen) == 1


def test_a_line_of_the_log_is_json_whatever_is_in_it(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "log.jsonl")
    log.log_metrics({"rank/depth": float("nan"), "loss/depth": 0.5, "norm/depth": float("inf")}, step=3)
    line = json.loads((tmp_path / "log.jsonl").read_text(), parse_constant=pytest.fail)
    assert line == {"step": 3, "rank/depth": None, "loss/depth": 0.5, "norm/depth": None}
