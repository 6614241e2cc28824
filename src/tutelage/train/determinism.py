"""Deterministic algorithms, and what they cost."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tutelage.types import DeterministicWarning

_NO_ALGORITHM = re.compile(r"(\S+) does not have a deterministic implementation")


@contextmanager
def deterministic(enabled: bool) -> Iterator[dict[str, str]]:
    """Use deterministic algorithms in a block, and collect what that changed: operation -> what replaced it.

    On a GPU, cuDNN's algorithms are no longer chosen by speed, cuBLAS works in a buffer of its own, and torch uses the
    deterministic version of an operation where there is one. An operation without one still runs; torch's warning about
    it is collected, since results may then differ from run to run. Where a network or task of this library uses another
    operation instead (a `DeterministicWarning`), that is collected, too.
    """
    changes: dict[str, str] = {}
    if not enabled:
        yield changes
        return
    before = (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled())
    cudnn = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it is first used
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    torch.use_deterministic_algorithms(True, warn_only=True)
    if torch.cuda.is_available():
        changes["convolutions"] = "cuDNN's deterministic algorithms, not its fastest"
        changes["matrix products"] = f"cuBLAS in a workspace of {os.environ['CUBLAS_WORKSPACE_CONFIG']}"
    shown = warnings.showwarning

    def collect(message: Warning | str, *args: Any, **kwargs: Any) -> None:
        match = _NO_ALGORITHM.search(str(message))
        if isinstance(message, DeterministicWarning):
            operation, _, instead = str(message).partition(": ")
            changes[operation] = instead
        elif match is None:
            shown(message, *args, **kwargs)
        else:
            changes[match[1]] = "has no deterministic algorithm on this device: results may differ between runs"

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("always", _NO_ALGORITHM.pattern, UserWarning)
            warnings.simplefilter("always", DeterministicWarning)
            warnings.showwarning = collect
            yield changes
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
