"""Several processes compute what one computes: two and three real ones, joined by gloo."""

import json
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train import several
from tests.train.several import BALANCERS, CHECKS, LONG, STEPS
from torch import Tensor

from tutelage.errors import UserError, one_line, raised_by_us
from tutelage.files import alone
from tutelage.study.processes import in_processes
from tutelage.train import Interrupted, Stream, Streams, share_state
from tutelage.types import World

pytestmark = pytest.mark.filterwarnings("ignore:You are solving a parameterized problem that is not DPP")
Found = dict[str, dict[str, dict[str, Tensor]]]
# Of three processes, what differs from two: slices that are empty, or have no label.
OF_THREE = {
    "steps": list(STEPS),
    "balancers": ["uncertainty", "scalarizer FAMO", "aggregator UPGrad", "representation ConFIG", "graddrop"],
    "long": ["uniform"],
    "others": list(CHECKS["others"]),
}


class Watcher:
    """Of a run in other processes."""

    def begin(self, resumed: int) -> None: ...

    def note(self, text: str) -> None: ...

    def step(self, step: int, total: int) -> None: ...

    def log(self, step: int, values: object) -> None: ...


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all processes that run these tests."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "several"


@pytest.fixture(scope="module")
def together(folder: Path) -> dict[int, Found]:
    """What two and three processes compute; between them one process continues a run."""
    file = folder / "together.pt"
    with alone(folder):
        if not file.exists():
            checks = {group: list(names) for group, names in CHECKS.items()}
            two = in_processes(2, several.compute, Watcher(), folder, checks)
            several.leave(World(), folder)
            torch.save({2: two, 3: in_processes(3, several.compute, Watcher(), folder, OF_THREE)}, file)
        found: dict[int, Found] = torch.load(file, weights_only=True)
        return found


def assert_alike(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Each within a part of its largest value."""
    assert found.keys() == expected.keys()
    for name, x in expected.items():
        scale = float(x.double().abs().max()) if x.numel() else 0.0
        torch.testing.assert_close(found[name].double(), x.double(), rtol=0, atol=tolerance * scale, msg=name)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", STEPS)
def test_a_step_has_the_gradient_of_one_process(together: dict[int, Found], name: str, count: int) -> None:
    """Missing labels, slices of unequal size or none, parts that are accumulated, clipping, a moving average."""
    assert_alike(together[count]["steps"][name], STEPS[name](World()), 1e-5)


@pytest.mark.parametrize("name", BALANCERS)
def test_every_balancer_computes_the_same(together: dict[int, Found], name: str) -> None:
    """Parameters, gradients and all of its state, after two steps; a solver ends within a tolerance of its own."""
    alone = CHECKS["balancers"][name](World())
    for found in together.values():
        if name in found["balancers"]:
            assert_alike(found["balancers"][name], alone, 1e-3 if name == "aggregator FairGrad" else 2e-5)


@pytest.mark.parametrize("name", LONG)
def test_fifty_steps_in_fp64(together: dict[int, Found], name: str) -> None:
    alone = LONG[name](World())
    for found in together.values():
        if name in found["long"]:
            assert_alike(found["long"][name], alone, 1e-8)


def test_metrics_count_every_image_once(together: dict[int, Found]) -> None:
    alone = several.metrics(World())
    for found in together.values():
        assert_alike(found["others"]["metrics"], alone, 1e-12)


def test_running_statistics_are_the_mean_over_the_processes(together: dict[int, Found]) -> None:
    alone = several.buffers(World())
    for count, found in together.items():
        mean = found["others"]["buffers"]["trunk.1.running_mean"]
        assert len(mean) == count
        assert (mean == mean[0]).all()
        # Slices of equal size: the mean of their means is that of the batch.
        torch.testing.assert_close(mean[0], alone["trunk.1.running_mean"][0])
        assert not torch.equal(found["others"]["buffers"]["trunk.1.running_var"][0], alone["trunk.1.running_var"][0])


def test_forwards_draw_other_numbers_in_every_process_and_balancers_the_same(together: dict[int, Found]) -> None:
    for count, found in together.items():
        numbers = found["others"]["numbers"]
        assert numbers["forward"].shape == numbers["balancer"].shape == (count, 2, 3)
        assert len(numbers["forward"].reshape(-1, 3).unique(dim=0)) == 2 * count
        assert len(numbers["balancer"].reshape(-1, 3).unique(dim=0)) == 2


def test_the_log_is_that_of_one_process(together: dict[int, Found], folder: Path) -> None:
    """Losses, weights, distances, conflict and health, written by the main process alone."""
    alone = [json.loads(line) for line in (folder / "1.jsonl").read_text().splitlines()]
    for count in together:
        lines = [json.loads(line) for line in (folder / f"{count}.jsonl").read_text().splitlines()]
        assert [line.keys() for line in lines] == [line.keys() for line in alone]
        for line, expected in zip(lines, alone, strict=True):
            for name, value in expected.items():
                if name.startswith("cka/"):  # of the images of each process, like the distance of that name
                    assert 0 <= line[name] <= 1
                else:
                    assert math.isclose(line[name], value, rel_tol=1e-4, abs_tol=1e-5), name


def test_another_number_of_processes_continues_a_run(together: dict[int, Found], folder: Path, tmp_path: Path) -> None:
    """Begun by two, continued by one, ended by three."""
    alone = several.resumable(World(), tmp_path / "checkpoint.pt", 12)
    assert_alike(torch.load(folder / "after12.pt"), alone, 1e-4)


def fail(world: World, observer: object, how: str) -> None:
    """One process fails in its own way while the others wait for it."""
    if world.rank == 1:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "defect":
            raise ZeroDivisionError("by our fault")
        cause = None if how == "user" else broken()
        raise UserError("image 7: expected a picture, found none") from cause
    world.sum(torch.ones(3))


def broken() -> Exception:
    """An error in a line of this library."""
    try:
        one_line(ValueError("x"), most="many")
    except TypeError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("user", UserError, "image 7: expected a picture, found none"),
        ("hidden defect", UserError, "image 7: expected a picture, found none"),
        ("defect", ZeroDivisionError, "by our fault"),
        ("killed", UserError, "expected 2 processes that end by themselves, found that process 1 was ended by SIGKILL"),
    ],
)
def test_the_failure_of_one_ends_all(how: str, kind: type[Exception], message: str) -> None:
    began = time.monotonic()
    with pytest.raises(kind, match=message) as error:
        in_processes(2, fail, Watcher(), how)
    assert time.monotonic() - began < 60
    if how != "killed":
        assert "in fail" in str(error.value.__cause__)  # where, in that process
        assert how == "defect" or raised_by_us(error.value) == (how == "hidden defect")


def astray(world: World, observer: object) -> None:
    streams = Streams([Stream(several.Images(), several.MODALITIES)], 4)
    run = several.training(several.Uniform(), streams, None, several.TASKS, double=False, ema=None)
    run.step = 5 * world.rank
    share_state(world, run)


def test_all_continue_from_the_same_checkpoint() -> None:
    with pytest.raises(UserError, match="to continue a run after the same step, found steps 0, 5"):
        in_processes(2, astray, Watcher())


class Stopper(Watcher):
    """Sends this process a signal while others train."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def step(self, step: int, total: int) -> None:
        self.steps.append(step)
        if step == 1:  # of the later ones not all are told
            signal.raise_signal(signal.SIGTERM)


def forever(world: World, observer: Any, checkpoint: Path) -> None:
    several.train(world, several.Uniform(), None, 10_000, checkpoint=checkpoint, observer=observer)


def test_a_signal_stops_all_after_the_same_step(tmp_path: Path) -> None:
    stopper = Stopper()
    with pytest.raises(Interrupted, match="stopped by SIGTERM") as error:
        in_processes(2, forever, stopper, tmp_path / "checkpoint.pt")
    assert error.value.step >= stopper.steps[-1]
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == error.value.step
