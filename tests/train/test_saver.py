"""A run that is asked to stop saves itself, and ends where an undisturbed one does."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.train.fixture import Images, Run, assert_same

from tutelage.balance import Uncertainty
from tutelage.data import Augment
from tutelage.train import Interrupted, Optim, TrainConfig, load_checkpoint

CONFIG = TrainConfig(epochs=4, batch_size=4, augment=Augment(), student=Optim(lambda p: torch.optim.Adam(p, lr=1e-2)))
HANDLED = (signal.SIGTERM, signal.SIGINT)


def setup(**change: object) -> Run:
    return Run(replace(CONFIG, **change), Uncertainty, net={"dropout": 0.3, "norm": True})


class At:
    """Does something after a step."""

    def __init__(self, step: int, action: Callable[[], object]) -> None:
        self.at, self.action = step, action

    def step(self, step: int, total: int) -> None:
        if step == self.at:
            self.action()

    def log(self, step: int, values: object) -> None: ...


class Calls(Images):
    """Does something in the middle of a step, where its images are read."""

    def __init__(self, action: Callable[[], object], after: int) -> None:
        super().__init__()
        self.action, self.left = action, after

    def __getitem__(self, index: int) -> dict:
        self.left -= 1
        if self.left == 0:
            self.action()
        return super().__getitem__(index)


@pytest.mark.parametrize("number", HANDLED)
def test_a_signal_stops_the_run_after_its_step_with_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    whole, path = setup().fit(setup().build()), tmp_path / "checkpoint.pt"
    before = [signal.getsignal(n) for n in HANDLED]
    run = setup().build()
    disturbed = replace(setup(), dataset=Calls(lambda: signal.raise_signal(number), after=18))  # in the fifth step
    with pytest.raises(Interrupted, match=rf"^stopped by {number.name} after step 5$") as error:
        disturbed.fit(run, checkpoint=path)
    assert (error.value.signal, error.value.step, run.step) == (number, 5, 5)
    assert [signal.getsignal(n) for n in HANDLED] == before
    again = setup().build()
    assert again.resume(path)
    assert again.step == 5
    setup().fit(again, checkpoint=path)
    assert_same(again.state_dict(), whole.state_dict())


def test_a_signal_in_the_last_step_is_not_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(Interrupted, match=r"after step 12$"):
        setup().fit(setup().build(), checkpoint=path, observer=At(12, lambda: signal.raise_signal(signal.SIGTERM)))
    assert load_checkpoint(path)["step"] == 12


def test_without_a_checkpoint_a_signal_stops_the_run_all_the_same() -> None:
    run = setup().build()
    with pytest.raises(Interrupted):
        setup().fit(run, observer=At(3, lambda: signal.raise_signal(signal.SIGTERM)))
    assert run.step == 3


def twice() -> None:
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


def test_a_second_signal_has_its_former_effect_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutelage.train.signals._SAME", 0.0)
    with pytest.raises(KeyboardInterrupt) as error:
        setup().fit(setup().build(), observer=At(3, twice))
    assert not isinstance(error.value, Interrupted)


def test_a_signal_that_a_batch_system_and_a_launcher_both_send_is_one() -> None:
    with pytest.raises(Interrupted, match=r"^stopped by SIGINT after step 3$"):
        setup().fit(setup().build(), observer=At(3, twice))


def test_handlers_are_restored_after_a_run_and_after_an_error() -> None:
    def fail() -> None:
        assert all(signal.getsignal(n) is not handler for n, handler in zip(HANDLED, before, strict=True))
        raise ArithmeticError

    before = [signal.getsignal(n) for n in HANDLED]
    setup().fit(setup().build())
    assert [signal.getsignal(n) for n in HANDLED] == before
    with pytest.raises(ArithmeticError):
        setup().fit(setup().build(), observer=At(3, fail))
    assert [signal.getsignal(n) for n in HANDLED] == before


def test_a_signal_that_the_process_ignores_stays_ignored() -> None:
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run = setup().fit(setup().build(), observer=At(3, lambda: signal.raise_signal(signal.SIGINT)))
        assert run.step == 12
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, former)


def test_another_thread_trains_as_the_main_thread_does() -> None:
    whole, run = setup().fit(setup().build()), setup().build()
    thread = threading.Thread(target=setup().fit, args=(run,))
    thread.start()
    thread.join()
    assert_same(run.state_dict(), whole.state_dict())


SCRIPT = """
import sys
from pathlib import Path
import torch
from tests.train.test_saver import At, Interrupted, setup

path, workers = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(int(sys.argv[3]))  # sums depend on it
run = setup(workers=workers).build()
run.resume(path)
print("begins", run.step, flush=True)
try:
    wait = At(4, lambda: (print("ready", flush=True), sys.stdin.readline()))
    setup(workers=workers).fit(run, checkpoint=path, observer=wait)
except Interrupted as error:
    sys.exit(f"{error}")
"""


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_a_process_that_is_preempted_goes_on_where_it_stopped(tmp_path: Path, workers: int) -> None:
    """SLURM sends SIGTERM to the whole group, the loader's workers included."""
    path = tmp_path / "checkpoint.pt"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path), str(workers), str(torch.get_num_threads())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begins 0\n"
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGTERM)
    time.sleep(1)  # in which a worker would end, and with it the step
    _, errors = process.communicate("\n", timeout=60)
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "stopped by SIGTERM after step 4"
    again = setup().build()
    assert again.resume(path)
    assert again.step == 4
    setup().fit(again)
    assert_same(again.state_dict(), setup().fit(setup().build()).state_dict())
