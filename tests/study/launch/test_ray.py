"""Runs as tasks of a local Ray with two workers, one of which is killed."""

import os
import signal
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.study.conftest import Notes
from tests.study.launch.conftest import assert_equal, fragile

from tutelage.errors import UserError
from tutelage.study import Study, plan, run_study
from tutelage.study.launch.hold import StudyInterrupted
from tutelage.study.launch.ray import Ray, _connected, _Launch
from tutelage.train import TrainConfig

with warnings.catch_warnings(action="ignore"):  # of Ray's own, about what it imports
    pytest.importorskip("ray", reason="the extra `ray` is not installed", exc_type=ImportError)

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray leaves sockets and files to the garbage collector


class Finished(Notes):
    """A display that remembers the order in which runs ended."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def finish(self, name: str, metrics: Mapping[str, Mapping[str, float]]) -> None:
        self.order.append(name)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Ray of two workers, which find this package and these tests."""
    launcher = Ray()  # sets what Ray reads when it is imported
    import ray

    root = Path(__file__).parents[3]
    os.environ["PYTHONPATH"] = f"{root / 'src'}{os.pathsep}{root}"
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield launcher
    ray.shutdown()


def test_a_run_that_breaks_stops_only_what_needs_it_and_a_killed_one_goes_on_from_its_checkpoint(
    cluster: Ray, one_by_one: Study, tmp_path: Path
) -> None:
    study, display = fragile(tmp_path, "runs", of=("depth",), how="raise"), Finished()
    with pytest.raises(ZeroDivisionError, match=r"^in the user's network$"):
        run_study(study, display, cluster)
    assert sorted(display.order) == ["single segmentation, seed 0", "uniform, seed 0"]
    expected = (
        "single depth, seed 0 failed: in the user's network; the study goes on without it, without kd4mtl, seed 0, too"
    )
    assert expected in display.notes
    (tmp_path / "how").write_text("SIGKILL")
    again = Finished()
    rows = run_study(study, again, cluster)
    assert_equal(study, one_by_one)
    assert {row["method"] for row in rows} == {"single", "uniform", "kd4mtl"}
    assert not (tmp_path / "how").exists()  # it was killed in its third step, and went on after the second
    assert again.started == [("single depth, seed 0", 2), ("single depth, seed 0", 4), ("kd4mtl, seed 0", 0)]
    assert again.order == ["single depth, seed 0", "kd4mtl, seed 0"]


def test_machines_without_a_common_disk_have_a_store(cluster: Ray, one_by_one: Study, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    study, display = fragile(tmp_path, "runs", of=("segmentation",), how="SIGKILL", at=4), Finished()
    run_study(study, display, Ray(store=url))
    assert_equal(study, one_by_one)
    # The checkpoint of the second step is copied after the third.
    assert [resumed for name, resumed in display.started if name == "single segmentation, seed 0"] == [0, 2]
    elsewhere = fragile(tmp_path, "elsewhere", of=("segmentation",), at=4)  # another machine: it finds all in the store
    again = Finished()
    run_study(elsewhere, again, Ray(store=url))
    assert again.started == []
    assert_equal(elsewhere, one_by_one)


class Stops(Finished):
    """Asks the study to stop once, after the first step that it hears of."""

    def step(self, step: int, total: int) -> None:
        super().step(step, total)
        if self.steps == 1:
            signal.raise_signal(signal.SIGINT)


def test_a_signal_lets_every_run_save_itself(cluster: Ray, tmp_path: Path) -> None:
    study = fragile(tmp_path, "runs", "--epochs", "4000")
    with pytest.raises(StudyInterrupted, match="SIGINT") as stopped:
        run_study(study, Stops(), cluster)
    assert stopped.value.steps
    for spec in plan(study.values):
        assert (study.folder / spec.id / "checkpoint.pt").exists() == (spec.label in stopped.value.steps)
    assert not list(study.folder.glob("**/result.json"))


def test_wrong_resources_are_one_line() -> None:
    with pytest.raises(UserError, match=r"^--cpus-per-run: expected at least 1, found 0$"):
        Ray(cpus=0)
    with pytest.raises(UserError, match=r"^--gpus-per-run: expected 0 or more, found -1$"):
        Ray(gpus=-1)


def test_a_run_has_what_its_devices_need() -> None:
    alone, several = TrainConfig(accelerator="cpu"), TrainConfig(accelerator="cpu", devices=4, batch_size=4)
    assert [Ray().resources(train) for train in (alone, several)] == [(1, 0), (4, 0)]
    several.accelerator = "cuda"
    assert Ray().resources(several) == (4, 4)
    assert Ray(cpus=2, gpus=0.5).resources(several) == (2, 0.5)


def test_a_cluster_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def fail(**_: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(UserError, match=r"RAY_ADDRESS: expected the address .*, found auto.*; start one"), _connected():
        pass


def test_what_fails_before_a_run_begins_is_not_called_a_lost_process() -> None:
    import ray

    cause = UserError("s3://bucket: expected a folder that can be read, found none")

    def fail(_: object) -> None:
        raise ray.exceptions.RayTaskError("execute_remotely", "a traceback", cause)

    launch = object.__new__(_Launch)
    launch.ray, launch.stopped, launch.lost = SimpleNamespace(get=fail, exceptions=ray.exceptions), False, set()
    outcome = launch._outcome(SimpleNamespace(id="uniform/seed0"), None)
    assert outcome is not None
    assert outcome.error is cause
