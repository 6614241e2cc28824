"""What `--version` says: found without importing PyTorch, which takes seconds."""

import os
import platform
from collections import Counter
from importlib.metadata import version
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia")


def versions() -> str:
    """One line: the versions of tutelage, PyTorch and Python, and the device on which studies train by default."""
    torch = version("torch")
    device = _device(torch)
    return ", ".join(
        [
            f"tutelage {version('tutelage')}",
            f"torch {torch}",
            f"Python {platform.python_version()}",
            *([] if device is None else [f"device {device}"]),
        ]
    )


def _device(torch: str) -> str | None:
    """The GPUs that the driver lists, or `cpu`; None: only PyTorch could tell.

    Args:
        torch: its version; a build for CPUs says so in it.
    """
    build = torch.partition("+")[2]
    if build.startswith("cpu") or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or platform.system() == "Darwin":
        return "cpu"
    if platform.system() != "Linux" or not (build == "" or build.startswith("cu")):
        return None
    models: Counter[str] = Counter()
    for file in sorted(_DRIVER.glob("gpus/*/information")):
        for line in file.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            models[value.strip()] += name == "Model"
    return " and ".join(f"{count} x {model}" for model, count in models.items() if count) or "cpu"
