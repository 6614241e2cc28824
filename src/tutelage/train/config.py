"""What a study fixes for the training of every network in it, teachers included."""

from dataclasses import dataclass, field
from typing import Literal

import torch

from tutelage.data import Augment
from tutelage.errors import UserError
from tutelage.train.optim import Optim

Precision = Literal["auto", "32-true", "bf16-mixed"]


@dataclass
class TrainConfig:
    """How every network of a study is trained, so that methods can be compared.

    Args:
        epochs: passes over the training images; over those of the source that takes longest.
        max_steps: end after this many steps at the latest; the schedule stays that of `epochs`.
        batch_size: images of one forward; of several sources, of all their forwards together.
        accumulate: forwards whose gradients are added to one step; batch norm takes the statistics of each.
        student: optimiser and scheduler of the network (of the teachers, too).
        clip_norm: largest norm of the network's gradient; the adaptors' and balancer's are never clipped.
        ema: decay of the exponential moving average of the weights that is evaluated and saved, for example 0.999.
        augment: random views of the training images; none trains on the images as they are.
        precision: `32-true`, `bf16-mixed`, or `auto`: bf16 where the device computes it in hardware.
        deterministic: take deterministic algorithms on a GPU, at their cost in speed; what each costs and what has none
            is recorded with the run. On a CPU a run is repeatable without it, for the same number of threads.
        official_quirks: do as the authors' scripts do, to compare with them (docs/deviations.md): teachers in train
            mode, the epoch with the lowest training loss, schedulers one epoch early, tables by image.
        channels_last: keep images and weights in the memory layout that convolutions in bf16 prefer.
        accelerator: `cpu`, `cuda`, or `auto`.
        devices: how many; only one so far.
        workers: processes that load images; 0 loads in this one, which is best for data kept in memory.
        checkpoint_seconds: time between two checkpoints.
        checkpoint_steps: steps between two checkpoints; none goes by time alone.
        log_steps: steps between two lines of the log.
        observe_steps: steps between two looks at what costs more to see: conflict between the tasks' gradients (a
            backward pass a task), health of distillation; none looks at the last step of every epoch.
    """

    epochs: int = 200
    max_steps: int | None = None
    batch_size: int = 2
    accumulate: int = 1
    student: Optim = field(default_factory=Optim)
    clip_norm: float | None = None
    ema: float | None = None
    augment: Augment | None = None
    precision: Precision = "auto"
    deterministic: bool = False
    official_quirks: bool = False
    channels_last: bool = True
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    workers: int = 0
    checkpoint_seconds: float = 60.0
    checkpoint_steps: int | None = None
    log_steps: int = 20
    observe_steps: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "log_steps"):
            if getattr(self, name) < 1:
                raise UserError(f"train.{name}: expected at least 1, found {getattr(self, name)}")
        for name in ("max_steps", "checkpoint_steps", "observe_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"train.{name}: expected at least 1 or null, found {value}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise UserError(f"train.clip_norm: expected a positive number or null, found {self.clip_norm}")
        if self.ema is not None and self.official_quirks:
            raise UserError("train.ema: expected null with official_quirks, which choose an epoch, found a decay")
        if self.ema is not None and not 0 < self.ema < 1:
            raise UserError(f"train.ema: expected a decay between 0 and 1 or null, found {self.ema}")
        for name in ("workers", "checkpoint_seconds"):
            if not getattr(self, name) >= 0:
                raise UserError(f"train.{name}: expected 0 or more, found {getattr(self, name)}")
        if self.devices != 1:
            raise UserError(f"train.devices: expected 1, found {self.devices}; several devices are not supported yet")
        if self.accelerator == "cuda" and not torch.cuda.is_available():
            raise UserError("train.accelerator: expected a GPU for cuda, found none; use cpu or auto")

    def resolved_precision(self) -> Literal["32-true", "bf16-mixed"]:
        """`auto` made definite on this machine."""
        if self.precision != "auto":
            return self.precision
        if self.accelerator != "cpu" and torch.cuda.is_available():
            return "bf16-mixed" if torch.cuda.get_device_capability() >= (8, 0) else "32-true"
        return "bf16-mixed" if _cpu_has_bf16() else "32-true"


def _cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 in hardware: emulated, it is slower than fp32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
