"""One run on a machine of a Ray cluster."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tutelage.study.config import Builder
from tutelage.study.launch.mirror import HEAVY, Mirror, Mirrored
from tutelage.study.launch.outcome import Outcome, attempt
from tutelage.study.observers import Sender
from tutelage.study.plan import RunSpec

_builder = functools.cache(Builder)  # the runs of one process share the images in memory


def execute_remotely(
    spec: RunSpec, folder: Path, store: str | None, threads: int, send: Callable[..., None], *needs: Outcome
) -> Outcome | None:
    """Execute a run from its last checkpoint; Ray calls it once more if its process or machine is lost.

    Args:
        spec: the run.
        folder: of the study, on a disk that all machines share, where there is no store.
        store: URL of the folders of runs, where the machines share no disk.
        threads: of the computations on the CPU.
        send: gets ("begin", step), ("step", step, total), ("log", step, values) and ("note", text).
        needs: how the runs that it needs ended: by them, Ray knows when it can begin.

    Returns:
        How it ended; None: what it needs has no result.
    """
    if any(need is None or need.state != "finished" for need in needs):
        return None
    torch.set_num_threads(threads)
    observer = Sender(send)
    if store is None:
        return attempt(spec, folder, observer, _builder(), wait=True)
    with tempfile.TemporaryDirectory(prefix="tutelage-") as scratch:
        here, mirror = Path(scratch), Mirror(store)
        for need in spec.needs:
            mirror.pull(need, here, but=HEAVY)
        mirror.pull(spec.id, here)
        mirrored = Mirrored(observer, mirror, spec.id, here)
        outcome = attempt(spec, here, mirrored, _builder())
        mirrored.push()
        return outcome


def sender(queue: Any, run: str) -> Callable[..., None]:
    """What puts the messages of a run into a queue of Ray."""

    def send(*message: Any) -> None:
        queue.put((run, *message))

    return send
