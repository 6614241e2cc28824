"""How a machine is divided among runs."""

import pytest
import torch

from tutelage.errors import UserError
from tutelage.study.launch.share import Share, shares
from tutelage.train import TrainConfig


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine with eight cores and no GPU."""
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: range(8), raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


@pytest.mark.parametrize(("jobs", "threads"), [(1, 8), (2, 4), (3, 2), (8, 1), (20, 1)])
def test_jobs_share_the_cores(machine: pytest.MonkeyPatch, jobs: int, threads: int) -> None:
    assert shares(TrainConfig(), jobs) == [Share(threads)] * jobs


def test_by_default_there_is_one_single_threaded_run_per_core(machine: pytest.MonkeyPatch) -> None:
    assert shares(TrainConfig()) == [Share(1)] * 8
    assert Share(1).environment() == {"OMP_NUM_THREADS": "1"}


def with_gpus(machine: pytest.MonkeyPatch, count: int) -> None:
    machine.setattr(torch.cuda, "is_available", lambda: True)
    machine.setattr(torch.cuda, "device_count", lambda: count)


def test_by_default_every_gpu_has_one_run(machine: pytest.MonkeyPatch) -> None:
    with_gpus(machine, 2)
    assert shares(TrainConfig()) == [Share(4, "0"), Share(4, "1")]
    assert shares(TrainConfig(), 3) == [Share(2, "0"), Share(2, "1"), Share(2, "0")]
    assert Share(4, "1").environment() == {"OMP_NUM_THREADS": "4", "CUDA_VISIBLE_DEVICES": "1"}
    assert shares(TrainConfig(accelerator="cpu"), 2) == [Share(4), Share(4)]


def test_a_run_of_several_processes_has_so_many_devices(machine: pytest.MonkeyPatch) -> None:
    assert shares(TrainConfig(devices=4, batch_size=4)) == [Share(4)] * 2
    assert shares(TrainConfig(devices=16, batch_size=16)) == [Share(8)]
    with_gpus(machine, 5)
    assert shares(TrainConfig(devices=2)) == [Share(4, "0,1"), Share(4, "2,3")]
    assert shares(TrainConfig(devices=2), 3) == [Share(2, "0,1"), Share(2, "2,3"), Share(2, "0,1")]


def test_gpus_keep_the_names_that_this_process_was_given(machine: pytest.MonkeyPatch) -> None:
    with_gpus(machine, 2)
    machine.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-5ae1")
    assert [share.gpus for share in shares(TrainConfig())] == ["3", "GPU-5ae1"]


def test_no_jobs_are_a_mistake(machine: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"^jobs: expected at least 1, found 0; give how many"):
        shares(TrainConfig(), 0)
