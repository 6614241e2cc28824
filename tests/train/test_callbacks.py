"""Callbacks: when each is called, that one can end a run, and that a resumed run ends as an undisturbed one."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train.fixture import KillAt, Killed, Run, assert_same

from tutelage.train import BestEpoch, Callback, EarlyStopping, Moment, TrainConfig, Training
from tutelage.train.callbacks import Callbacks
from tutelage.types import World

# 12 images: 3 steps of an epoch
CONFIG = TrainConfig(
    epochs=4, batch_size=4, precision="32-true", channels_last=False, checkpoint_steps=1, log_steps=1, validation=0.5
)
Metrics = Mapping[str, Mapping[str, float]]


def gain(metrics: Metrics, best: Metrics) -> float:
    return metrics["depth"]["value"] - best["depth"]["value"]


class Noted(Callback):
    """Remembers its calls, as a checkpoint can keep them."""

    def __init__(self, stop_at: int = 0) -> None:
        self.calls: list[str] = []
        self.stop_at = stop_at

    def after_step(self, moment: Moment) -> None:
        torch.rand(1)  # changes nothing
        self.calls.append(f"step {moment.step}/{moment.steps}")
        if moment.step == self.stop_at:
            moment.stop("enough")

    def after_epoch(self, moment: Moment) -> None:
        self.calls.append(f"epoch {moment.epoch:g} {moment.validation} {moment.epochs_since_best}")
        moment.log({"seen": len(self.calls)})

    def after_run(self, moment: Moment) -> None:
        self.calls.append(f"run {moment.step}")

    def state_dict(self) -> dict[str, Any]:
        return {"calls": self.calls}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.calls = list(state["calls"])


class Watched(Run):
    """A run with callbacks, validated by numbers that are given: of epoch after epoch."""

    values: tuple[float, ...] = (1.0, 3.0, 2.0, 2.5)

    def start(self, *callbacks: Callback, keep: bool = True) -> Training:
        run = self.build()
        run.best, run.callbacks = BestEpoch(gain, keep), list(callbacks)
        return run

    def finish(self, run: Training, **kwargs: Any) -> Training:
        def measure() -> Metrics:
            torch.rand(1)  # a loader may draw: it changes nothing
            return {"depth": {"value": self.values[(run.step - 1) // 3]}}

        return self.fit(run, measure=measure, **kwargs)


def test_the_order_of_the_calls() -> None:
    setup, noted = Watched(CONFIG), Noted()
    setup.finish(setup.start(noted))
    assert noted.calls[:4] == ["step 1/12", "step 2/12", "step 3/12", "epoch 1 {'depth': {'value': 1.0}} 0"]
    assert [call for call in noted.calls if call.startswith("epoch")] == [
        f"epoch {epoch} {{'depth': {{'value': {value}}}}} {since}"
        for epoch, value, since in ((1, 1.0, 0), (2, 3.0, 0), (3, 2.0, 1), (4, 2.5, 2))
    ]
    assert noted.calls[-2:] == [noted.calls[-2], "run 12"]


def test_they_change_nothing_in_the_training() -> None:
    setup = Watched(CONFIG)
    watched, alone = setup.finish(setup.start(Noted(), keep=False)), setup.fit(setup.build())
    assert_same(watched.student.state_dict(), alone.student.state_dict())


def test_the_best_epoch_is_the_result() -> None:
    setup = Watched(CONFIG)
    best = setup.finish(setup.start())
    after_two = setup.build()
    two = TrainConfig(**{**vars(CONFIG), "max_steps": 6})
    setup.fit(after_two, two)
    assert_same(best.result.state_dict(), after_two.result.state_dict())
    assert best.best is not None
    assert (best.best.step, best.best.since) == (6, 2)


def test_the_best_of_an_average_is_the_averages() -> None:
    setup = Watched(TrainConfig(**{**vars(CONFIG), "ema": 0.5}))
    run = setup.finish(setup.start())
    two = setup.build()
    setup.fit(two, TrainConfig(**{**vars(setup.config), "max_steps": 6}))
    assert_same(run.result.state_dict(), two.result.state_dict())


def test_early_stopping_ends_a_run_that_gets_no_better() -> None:
    setup = Watched(CONFIG)
    run = setup.finish(setup.start(EarlyStopping(patience=1)))
    assert run.step == 9
    assert run.stopped == "no epoch of the last 1 was better on the validation part of train"
    assert setup.finish(setup.start(EarlyStopping(patience=3))).step == 12
    with pytest.raises(ValueError, match="expected a patience of at least 1 epoch, found 0"):
        EarlyStopping(0)


def test_a_run_may_end_within_an_epoch() -> None:
    setup, noted = Watched(CONFIG), Noted(stop_at=5)
    run = setup.finish(setup.start(noted))
    assert (run.step, run.stopped) == (5, "enough")
    assert noted.calls[-2:] == ["step 5/12", "run 5"]
    assert_same(run.result.state_dict(), run.best.weights)  # of the first epoch


@pytest.mark.parametrize("stop", [0, 7])
@pytest.mark.parametrize("at", [1, 3, 6, 7, 11])
def test_a_run_that_is_killed_ends_as_an_undisturbed_one(at: int, stop: int, tmp_path: Path) -> None:
    setup = Watched(CONFIG)
    whole = setup.start(Noted(stop), EarlyStopping(patience=2))
    setup.finish(whole, checkpoint=tmp_path / "whole.pt")
    path = tmp_path / "c.pt"
    with pytest.raises(Killed) if not stop or at <= stop else nullcontext():
        setup.finish(setup.start(Noted(stop), EarlyStopping(patience=2)), checkpoint=path, observer=KillAt(at))
    again = setup.start(Noted(stop), EarlyStopping(patience=2))
    again.resume(path)
    setup.finish(again, checkpoint=path)
    assert (again.step, again.stopped) == (whole.step, whole.stopped)
    assert_same(again.result.state_dict(), whole.result.state_dict())
    assert_same(*(torch.load(file, weights_only=True) for file in (path, tmp_path / "whole.pt")))
    assert again.callbacks[0].calls == whole.callbacks[0].calls


def test_a_run_that_had_ended_early_stays_ended(tmp_path: Path) -> None:
    setup, path = Watched(CONFIG), tmp_path / "c.pt"
    ended = setup.finish(setup.start(Noted(stop_at=5)), checkpoint=path)
    again = setup.start(noted := Noted(stop_at=5))
    again.resume(path)
    setup.finish(again, checkpoint=path)
    assert (again.step, again.stopped) == (5, "enough")
    assert_same(again.result.state_dict(), ended.result.state_dict())
    assert noted.calls[-2:] == ["step 5/12", "run 5"]


def test_processes_that_train_together_agree_on_the_end() -> None:
    class Other(World):
        size = 2

        def gather(self, value: Any) -> list[Any]:
            return [value, "the other one has had enough"]

    setup = Watched(CONFIG)
    run = setup.start(Noted())
    run.step = 1
    Callbacks(run, setup.streams(CONFIG).length, setup.fabric, world=Other()).end_step()
    assert run.stopped == "the other one has had enough"
