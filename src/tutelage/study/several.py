"""What several processes ask of a run: checked before it is trained."""

import sys
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tutelage.errors import UserError
from tutelage.train import Streams, TrainConfig, process_count
from tutelage.types import Balancer, MultiTaskNet, World


def check_processes(count: int, train: TrainConfig, balancer: Balancer, streams: Streams, student: nn.Module) -> None:
    """Raise a UserError where `count` processes would not compute what one computes."""
    if count == 1:
        return
    if count > train.batch_size:
        raise UserError(
            f"train.batch_size: expected an image or more for each of the {count} processes, found {train.batch_size}; "
            "raise it, or start fewer"
        )
    if train.official_quirks:
        raise UserError(
            f"train.official_quirks: expected false with {count} processes, since the authors' scripts train in one, "
            "found true; train with one"
        )
    if train.compile:
        raise UserError(
            f"train.compile: expected false with {count} processes, which add gradients during the backward pass, "
            "found true: a compiled one gives them all at its end; train with one process"
        )
    if not balancer.several_processes:
        raise UserError(
            f"balancer: expected a balancer for {count} processes, which adds over them what it reads, found "
            f"{type(balancer).__name__}; derive it from LossBalancer or GradientBalancer, or set its "
            "`several_processes`, or train with one process"
        )
    if on_gpu(train) and has_batch_norm(student) and min(streams.batch_sizes) < count:
        raise UserError(
            f"train.batch_size: expected {count} images or more of every source, one per process, since batch norm "
            f"waits for all of them, found {min(streams.batch_sizes)}; raise it, or start fewer"
        )


def smallest_part(size: int, count: int, train: TrainConfig) -> int:
    """The fewest images that batch norm sees of a batch of `size` images in `count` processes."""
    return size if on_gpu(train) else max(size // count, 1)


def has_local_batch_norm(net: nn.Module, train: TrainConfig) -> bool:
    """Whether the batch norm of a network will take the statistics of the images of each process alone."""
    return process_count(train.devices) > 1 and not on_gpu(train) and has_batch_norm(net)


def has_batch_norm(net: nn.Module) -> bool:
    """Whether a network has a batch norm."""
    return any(isinstance(module, _BatchNorm) for module in net.modules())


def on_gpu(train: TrainConfig) -> bool:
    """Whether it trains on a GPU."""
    return train.accelerator != "cpu" and torch.cuda.is_available()


def synchronise(net: MultiTaskNet, world: World, device: torch.device) -> MultiTaskNet:
    """Let batch norm take the statistics of the images of all processes, which torch can on a GPU only."""
    if world.size == 1 or device.type != "cuda" or not has_batch_norm(net):
        return net
    convert: Callable[[MultiTaskNet], MultiTaskNet] = nn.SyncBatchNorm.convert_sync_batchnorm
    if "timm" in sys.modules:  # has batch norms with an activation in them, which torch would leave out
        from timm.layers import norm_act

        convert = norm_act.convert_sync_batchnorm
    return convert(net)
