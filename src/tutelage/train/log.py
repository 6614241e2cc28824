"""The log of a run with one JSON object per line."""

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import Logger
from torch import Tensor

from tutelage.files import json_text, naming, write_atomically
from tutelage.reading import LOG, read_limited


class JsonLines(Logger):
    """Appends `{"step": int, name: number, ...}` to a file.

    A run that continues from a checkpoint deletes what was logged after it, so that no step occurs twice; a last line
    that was cut off while being written is deleted, too.

    Args:
        path: the file.
        after: lines of later steps are deleted.
    """

    def __init__(self, path: Path, after: int = 0) -> None:
        super().__init__()
        self.path = path
        lines = [line for line in read_limited(path, LOG).splitlines() if _step(line) <= after] if path.exists() else []
        write_atomically(path, lambda file: file.write(b"".join(line + b"\n" for line in lines)))

    @property
    def name(self) -> str:
        """The name by which Fabric knows this logger."""
        return "json"

    @property
    def version(self) -> str:
        """Empty: the folder of a run is its version."""
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one line; a value that is not finite is null."""
        with naming(self.path), self.path.open("a") as file:
            file.write(json_text({"step": step, **metrics}) + "\n")

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Tensor, **kwargs: Tensor) -> None:
        """Nothing: the config lies beside the log."""


def _step(line: bytes) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
