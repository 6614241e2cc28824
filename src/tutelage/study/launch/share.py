"""How the processors and GPUs of a machine are divided among runs that are trained side by side."""

import os
from dataclasses import dataclass

import torch

from tutelage.errors import UserError
from tutelage.train import TrainConfig

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Share:
    """What one of several runs may use: fixed before it begins, whatever else is trained.

    Attributes:
        threads: of its computations on the CPU.
        gpu: its GPU, as `CUDA_VISIBLE_DEVICES` names it; None: the run uses none.
    """

    threads: int
    gpu: str | None = None

    def environment(self) -> dict[str, str]:
        """What has to be set before a process starts: CUDA and OpenMP read it once."""
        return {"OMP_NUM_THREADS": str(self.threads), **({} if self.gpu is None else {_VISIBLE: self.gpu})}


def shares(train: TrainConfig, jobs: int | None = None) -> list[Share]:
    """Equal shares of this machine.

    Args:
        train: of the study.
        jobs: how many; by default one per GPU, and on a CPU one per core. With more jobs than GPUs several share one.

    Raises:
        UserError: `jobs` is below 1.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs: expected at least 1, found {jobs}")
    cuda = train.accelerator != "cpu" and torch.cuda.is_available()
    gpus = _gpus() if cuda else []
    jobs = jobs or len(gpus) or cores()
    threads = max(1, cores() // jobs)
    return [Share(threads, gpus[i % len(gpus)] if cuda else None) for i in range(jobs)]


def cores() -> int:
    """The cores that this process may use: a batch system may give it fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus() -> list[str]:
    """The GPUs that this process sees, as it was told to call them."""
    named = [name.strip() for name in os.environ.get(_VISIBLE, "").split(",") if name.strip()]
    count = torch.cuda.device_count()
    return named[:count] or [str(i) for i in range(count)]
