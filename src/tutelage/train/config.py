"""What a study fixes for the training of every network in it, teachers included."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal

import torch
from torch import nn

from tutelage.data import Augment
from tutelage.data.shards import Mode
from tutelage.distill.teachers import Storage
from tutelage.errors import UserError
from tutelage.train.callback import Callback
from tutelage.train.optim import Optim

LoggerName = Literal["tensorboard", "csv", "wandb", "mlflow"]
Precision = Literal["auto", "32-true", "bf16-mixed"]


@dataclass
class TeacherCache:
    """Whether what teachers compute is kept on disk and read by later epochs, methods, seeds and studies.

    Only views that come again can be read: whole images, as they are or mirrored, and the fixed ones of
    `train.augment.views`. docs/distillation.md says more.

    Args:
        mode: `auto`: each teacher is cached where that takes less time in all, and no more than `share` of the free
            disk; `always`: wherever it can be; `never`: teachers run in every step.
        storage: `auto` keeps the numbers as they are computed, bit for bit; `bf16` and `int8` (with a scale for each
            image and channel) round them to take less disk; `fp32` keeps more digits than bf16 computes.
        share: the part of the free disk that `auto` takes at most.
    """

    mode: Literal["auto", "always", "never"] = "auto"
    storage: Storage = "auto"
    share: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UserError(f"train.teacher_cache.share: expected a part above 0 and at most 1, found {self.share}")


@dataclass
class TrainConfig:
    """How every network of a study is trained: the same for all methods, so that they can be compared.

    Args:
        epochs: passes over the training images; of several sources, over the one whose pass takes longest.
        max_steps: end after this many steps at the latest; the schedule stays that of `epochs`.
        batch_size: images of one forward pass; with several sources, of their forward passes together.
        accumulate: forward passes whose gradients are added to one step; batch norm uses the statistics of each.
        student: optimiser and scheduler of the student, and of each teacher when it is trained.
        clip_norm: largest norm of a network's gradient; gradients of adaptors and balancer are never clipped.
        ema: decay of the exponential moving average of the weights, for example 0.999; the average is then evaluated
            and saved in place of the weights.
        batch_norm: `running`: networks are evaluated with the running statistics of their batch norm; `estimated`: with
            the mean of those of up to 64 batches of training images, as they are, under the final weights. Running ones
            are behind in short runs.
        augment: random views of the training images; null trains on the images unchanged.
        distort: what changes the pixels of these views, one after the other, for networks that are trained, and not for
            frozen teachers, whose cache stays valid: torchvision.transforms.v2.ColorJitter, RandomGrayscale,
            GaussianBlur, GaussianNoise, RandomErasing, or modules of yours from [3, H, W] to [3, H, W] in 0..1.
        precision: `32-true`, `bf16-mixed`, or `auto`: that of the runs that are in the study's folder, else bf16 where
            the device computes it in hardware, but for networks of many depthwise convolutions on a CPU, which are
            slower in it.
        deterministic: use deterministic algorithms on a GPU, which are slower; the run records which operations were
            replaced and which have no deterministic algorithm. On a CPU a run is repeatable without it, for the same
            number of threads.
        official_quirks: follow the authors' scripts, to compare with them (docs/deviations.md): teachers in training
            mode, the epoch with the lowest training loss, schedulers one epoch early, tables by image.
        channels_last: keep images and weights in the memory layout that is fastest for most convolutions; `auto`: on a
            GPU and in bf16, and in fp32 on a CPU where a few steps of the network are faster so, which a study measures
            once per machine and network and records in the folder of the run.
        compile: run student and teachers through `torch.compile` in training; what cannot be compiled runs as it is,
            and the run says why. Results change by rounding.
        accelerator: `cpu`, `cuda`, or `auto`: a GPU where there is one.
        devices: processes that train each network together, on this machine: one per GPU, or on a CPU with its cores
            shared among them. Where torchrun or SLURM started several processes, it is their number that counts.
        workers: processes that load images; 0 loads them in the training process, which is best for data in memory.
        shards: keep decoded images and labels in memory-mapped files for all runs of all studies (`tutelage cache
            list`): `auto` where decoding takes time, samples are read more than once and at most a quarter of the
            free disk per split is needed, `always`, or `never`. It changes no value.
        checkpoint_seconds: longest time between two checkpoints.
        checkpoint_steps: steps between two checkpoints, too; null saves by time alone.
        keep_checkpoint: keep the checkpoint of a finished run, which is three times as large as its student.
        validation: the part of the training images that no network is trained on and that every one is measured on
            after each epoch, for `keep` and `callbacks`; null: none. The split `test` is not read for it.
        keep: `last`: the weights after the last step are the result; `best`: those of the epoch that is best on the
            part of `validation`, by Delta of the main metrics over the best epoch before it. The table says so.
        callbacks: what is told of every step, epoch and run, and may end a run: tutelage.train.EarlyStopping, or
            classes of yours that derive from tutelage.train.Callback.
        log_steps: steps between two lines of the log; null: 20, or fewer in a short run, which then has 20 lines or so.
        logger: where the log goes besides log.jsonl: `tensorboard`, `csv` (metrics.csv, written at the end), `wandb`,
            `mlflow` (both extras of the package), or several of them. The study is their project, a run is a run.
        observe_steps: steps between two measurements of the conflict between the tasks' gradients, which takes one
            backward pass per task, and of the health of distillation; null measures at the end of every epoch.
        teacher_cache: whether what teachers compute is kept on disk.
    """

    epochs: int = 200
    max_steps: int | None = None
    batch_size: int = 2
    accumulate: int = 1
    student: Optim = field(default_factory=Optim)
    clip_norm: float | None = None
    ema: float | None = None
    batch_norm: Literal["running", "estimated"] = "running"
    augment: Augment | None = None
    distort: list[Callable[[], nn.Module]] = field(default_factory=list)
    precision: Precision = "auto"
    deterministic: bool = False
    official_quirks: bool = False
    channels_last: bool | Literal["auto"] = "auto"
    compile: bool = False
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    workers: int = 0
    shards: Mode = "auto"
    checkpoint_seconds: float = 60.0
    checkpoint_steps: int | None = None
    keep_checkpoint: bool = False
    validation: float | None = None
    keep: Literal["last", "best"] = "last"
    callbacks: list[Callable[[], Callback]] = field(default_factory=list)
    log_steps: int | None = None
    logger: list[LoggerName] = field(default_factory=lambda: ["tensorboard"])
    observe_steps: int | None = None
    teacher_cache: TeacherCache = field(default_factory=TeacherCache)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise UserError(f"train.{name}: expected at least 1, found {getattr(self, name)}")
        for name in ("max_steps", "checkpoint_steps", "log_steps", "observe_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"train.{name}: expected at least 1 or null, found {value}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise UserError(f"train.clip_norm: expected a positive number or null, found {self.clip_norm}")
        if self.ema is not None and self.official_quirks:
            raise UserError("train.ema: expected null with official_quirks, which choose an epoch, found a decay")
        if self.ema is not None and not 0 < self.ema < 1:
            raise UserError(f"train.ema: expected a decay between 0 and 1 or null, found {self.ema}")
        if self.validation is not None and not 0 < self.validation < 1:
            raise UserError(f"train.validation: expected a part between 0 and 1, or null, found {self.validation}")
        if self.keep == "best" and self.validation is None:
            raise UserError("train.validation: expected a part of train such as 0.1 for `keep: best`, found none")
        if self.keep == "best" and self.official_quirks:
            raise UserError("train.keep: expected last with official_quirks, which choose an epoch, found best")
        for name in ("official_quirks", "deterministic"):
            if self.compile and getattr(self, name):
                raise UserError(f"train.compile: expected false with {name}, found true; leave one of them out")
        for name in ("workers", "checkpoint_seconds"):
            if not getattr(self, name) >= 0:
                raise UserError(f"train.{name}: expected 0 or more, found {getattr(self, name)}")
        if not 1 <= self.devices <= self.batch_size:
            raise UserError(
                f"train.devices: expected 1 or more, and no more than the {self.batch_size} images of a batch "
                f"(train.batch_size), found {self.devices}"
            )
        for package in self.logger:
            if package in ("wandb", "mlflow") and find_spec(package) is None:
                raise UserError(
                    f"train.logger: expected the package {package}, found none; pip install 'tutelage[{package}]'"
                )
        if self.accelerator == "cuda" and not torch.cuda.is_available():
            raise UserError("train.accelerator: expected a GPU for cuda, found none; use cpu or auto")
        gpus = torch.cuda.device_count() if self.accelerator != "cpu" and torch.cuda.is_available() else None
        if gpus is not None and self.devices > gpus:
            raise UserError(
                f"train.devices: expected at most the {gpus} GPUs of this machine, found {self.devices}; lower it, or "
                "train with --accelerator cpu"
            )

    def known_channels_last(self) -> bool | None:
        """`channels_last`, with `auto` replaced by what is best for device and precision; None: it has to be tried."""
        if self.channels_last != "auto":
            return self.channels_last
        on_gpu = self.accelerator != "cpu" and torch.cuda.is_available()
        return True if on_gpu or self.resolved_precision() == "bf16-mixed" else None

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout of images and weights; torch's own where `auto` would have to be tried and nobody has."""
        return torch.channels_last if self.known_channels_last() else torch.contiguous_format

    def resolved_precision(self) -> Literal["32-true", "bf16-mixed"]:
        """`precision`, with `auto` replaced by what this machine supports; a study asks its network and folder, too."""
        if self.precision != "auto":
            return self.precision
        if self.accelerator != "cpu" and torch.cuda.is_available():
            return "bf16-mixed" if torch.cuda.get_device_capability() >= (8, 0) else "32-true"
        return "bf16-mixed" if cpu_has_bf16() else "32-true"


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 in hardware: emulated, it is slower than fp32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
