"""The device of a predictor, by its name."""

import re

import torch

from tutelage.errors import UserError

_NAME = re.compile(r"(cpu|mps|cuda(:\d+)?)")


def find_device(name: str = "auto") -> torch.device:
    """The device of a name: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto`, a GPU of CUDA where there is one.

    Raises:
        UserError: The name is another one, or this machine has no such device.
    """
    cuda = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda" if cuda else "cpu")
    if not _NAME.fullmatch(name):
        raise UserError(f"--device: expected auto, cpu, cuda, cuda:1 (a number) or mps, found `{name}`")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= cuda:
        raise UserError(f"--device: expected one of the {cuda} GPUs that PyTorch sees, found `{name}`; give another")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device: expected a device that PyTorch sees, found `mps`, which it does not; give another")
    return device
