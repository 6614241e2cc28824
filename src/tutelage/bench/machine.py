"""What the machine can do: the rates that floors are computed from, and the facts that figures belong to."""

import importlib.metadata
import os
import platform
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from tutelage.bench.harness import seconds
from tutelage.train.config import cpu_has_bf16
from tutelage.train.operations import operations

_TRIES = 5
_CPU = torch.device("cpu")
_COPIED = {"cpu": 2**26, "cuda": 2**31}  # bytes: beyond every cache
_LARGE = {"cpu": (2, 128), "cuda": (32, 512)}  # images and channels that keep all units busy


@cache
def operations_per_second(dtype: torch.dtype = torch.float32, device: torch.device = _CPU) -> float:
    """The rate of one large 3x3 convolution in channels_last, the best of a few: no step of a network is faster."""
    images, width = _LARGE[device.type]
    x = torch.rand(images, width, 64, 96, dtype=dtype, device=device).contiguous(memory_format=torch.channels_last)
    weight = torch.rand(width, width, 3, 3, dtype=dtype, device=device).contiguous(memory_format=torch.channels_last)

    def convolve() -> Tensor:
        with torch.no_grad():
            return conv2d(x, weight, padding=1)

    count = operations(convolve)
    return count / min(seconds(convolve) for _ in range(_TRIES))


@cache
def bytes_per_second(device: torch.device = _CPU) -> float:
    """Bytes read and written per second by a copy that no cache holds, the best of a few."""
    copied = _COPIED[device.type]
    source, target = torch.rand(copied // 4, device=device), torch.empty(copied // 4, device=device)
    target.copy_(source)
    return 2 * copied / min(seconds(lambda: target.copy_(source)) for _ in range(_TRIES))


def facts(device: torch.device = _CPU) -> dict[str, Any]:
    """What figures were measured on."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    names = ("tutelage", "torch", "torchjd", "lightning-fabric", "numpy")
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "processor": capabilities.get("cpu_name") or platform.processor(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "bf16": cpu_has_bf16(),
        "gpu": torch.cuda.get_device_name() if device.type == "cuda" else None,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {name: importlib.metadata.version(name) for name in names},
    }


def rates(device: torch.device = _CPU) -> dict[str, float]:
    """The rates of this process, in 10^9 operations and 10^9 bytes per second."""
    return {
        "fp32 GFLOP/s": round(operations_per_second(device=device) / 1e9, 1),
        "bf16 GFLOP/s": round(operations_per_second(torch.bfloat16, device) / 1e9, 1),
        "GB/s": round(bytes_per_second(device) / 1e9, 1),
    }
