"""How the processors and GPUs of a machine are divided among runs that are trained side by side."""

import os
from dataclasses import dataclass

import torch

from tutelage.errors import UserError
from tutelage.study.several import on_gpu
from tutelage.train import TrainConfig

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Share:
    """What one of several runs may use: fixed before it begins, whatever else is trained.

    Attributes:
        threads: of its computations on the CPU.
        gpus: its GPUs, as `CUDA_VISIBLE_DEVICES` names them, with commas between; None: the run uses none.
    """

    threads: int
    gpus: str | None = None

    def environment(self) -> dict[str, str]:
        """The variables that its process is given: CUDA reads its own when the first GPU is used."""
        return {"OMP_NUM_THREADS": str(self.threads), **({} if self.gpus is None else {_VISIBLE: self.gpus})}


def shares(train: TrainConfig, jobs: int | None = None) -> list[Share]:
    """Equal shares of this machine.

    Args:
        train: of the study.
        jobs: how many; by default one per `train.devices` GPUs, or cores. With more jobs than GPUs several share them.

    Raises:
        UserError: `jobs` is below 1.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs: expected at least 1, found {jobs}; give how many runs go on side by side")
    gpus, devices = _gpus() if on_gpu(train) else [], train.devices
    groups = [",".join(gpus[i : i + devices]) for i in range(0, len(gpus) - devices + 1, devices)]
    jobs = jobs or len(groups) or max(1, cores() // devices)
    threads = max(1, cores() // jobs)
    return [Share(threads, groups[i % len(groups)] if groups else None) for i in range(jobs)]


def cores() -> int:
    """The cores that this process may use: a batch system may give it fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus() -> list[str]:
    """The GPUs that this process sees, as it was told to call them."""
    named = [name.strip() for name in os.environ.get(_VISIBLE, "").split(",") if name.strip()]
    count = torch.cuda.device_count()
    return named[:count] or [str(i) for i in range(count)]
