"""A study in a process of its own that fails at a chosen moment: killed, or its disk is full.

The moments are the system's calls that make a file: each write, the flush to the disk, the renaming.
"""

import contextlib
import errno
import io
import json
import multiprocessing
import os
import random
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Any

from tutelage import files

# One single-task network, one distilled and one with a balancer that learns: 5 runs of 4 steps.
FLAGS = [
    "--epochs", "2", "--data.train", "16", "--data.test", "4", "--precision", "32-true", "--checkpoint-steps", "1",
    "--log-steps", "2", "--keep-checkpoint", "true", "--methods", "uncertainty,kd4mtl",
]  # fmt: skip

context = multiprocessing.get_context("forkserver")
# What a study imports by its end, too: seconds of each process that is forked, otherwise.
PRELOADED = [
    "tests.study.fragile", "tests.wrong", "tutelage.cli", "tutelage.study", "tutelage.study.execute",
    "tutelage.study.launch.worker", "tutelage.report", "torch", "torchmetrics", "torchvision.datasets",
    "tensorboard.summary", "docstring_parser", "matplotlib.pyplot", "matplotlib.backends.backend_svg",
    "jsonargparse", "scipy.stats",
]  # fmt: skip
context.set_forkserver_preload(PRELOADED)


@dataclass
class Fuse:
    """Counts moments and fails at one of them."""

    at: int | None  # which moment; none never fails
    fail: Callable[[], None]
    moments: int = 0

    def burn(self) -> None:
        self.moments += 1
        if self.moments == self.at:
            self.fail()


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _File:
    """A file whose writes are moments: the one that fails leaves half of its bytes.

    The 1st, 2nd, 4th, 8th, ... write counts: a checkpoint has thousands and would leave no room for the small files.
    """

    def __init__(self, file: IO[bytes], fuse: Fuse) -> None:
        self.file, self.fuse, self.writes = file, fuse, 0

    def write(self, data: bytes) -> int:
        view = memoryview(data).cast("B")
        self.writes += 1
        if self.writes.bit_count() > 1:
            return self.file.write(view)
        self.file.write(view[: len(view) // 2])
        self.file.flush()
        self.fuse.burn()
        self.file.write(view[len(view) // 2 :])
        return len(view)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@contextlib.contextmanager
def fused(fuse: Fuse) -> Iterator[None]:
    """Let every write of `write_atomically` burn the fuse."""
    create, fsync, replace = files._create, os.fsync, os.replace

    def opened(part: Path) -> Any:
        return _File(create(part), fuse)

    def before(call: Callable[..., Any]) -> Callable[..., Any]:
        def burn(*args: Any) -> Any:
            fuse.burn()
            return call(*args)

        return burn

    files._create, os.fsync, os.replace = opened, before(fsync), before(replace)
    try:
        yield
    finally:
        files._create, os.fsync, os.replace = create, fsync, replace


def work(out: str, flags: list[str], report: str, at: int | None, failure: str, cache: str) -> None:
    """Run the command in this process and leave what it said in `report`."""
    warnings.simplefilter("error")
    os.environ["XDG_CACHE_HOME"] = cache
    import torch

    from tutelage.cli import main

    torch.set_num_threads(1)
    fuse = Fuse(at, kill if failure == "kill" else full)
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained), fused(fuse):
        status = main(["run", "rooms-tiny", *FLAGS, *flags, "--out", out])
    found = {"status": status, "moments": fuse.moments, "said": said.getvalue(), "complained": complained.getvalue()}
    Path(report).write_text(json.dumps(found))


@dataclass
class Study:
    """The study's folder, and how to start it."""

    folder: Path
    flags: tuple[str, ...] = ()

    @property
    def out(self) -> Path:
        return self.folder / "runs"

    def start(self, at: int | None = None, failure: str = "kill") -> BaseProcess:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.report.unlink(missing_ok=True)
        arguments = (str(self.out), list(self.flags), str(self.report), at, failure, str(self.folder / "cache"))
        process = context.Process(target=work, args=arguments)
        process.start()
        return process

    @property
    def report(self) -> Path:
        return self.folder / "said.json"

    def run(self, at: int | None = None, failure: str = "kill") -> dict[str, Any] | None:
        """Start it and wait for its end; what it said, or nothing where it was killed."""
        process = self.start(at, failure)
        process.join(120)
        assert not process.is_alive()
        if process.exitcode == -signal.SIGKILL:
            return None
        assert process.exitcode == 0
        said: dict[str, Any] = json.loads(self.report.read_text())
        return said

    def run_killed(self, seconds: float) -> bool:
        """Start it and kill it after some time; whether it was killed before it ended."""
        process = self.start()
        process.join(seconds)
        process.kill()
        process.join()
        return process.exitcode == -signal.SIGKILL

    def finished(self) -> dict[Path, tuple[int, bytes]]:
        """Every finished run's result: when it was written, and what."""
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in self.out.glob("**/seed0/result.json")}


def kill_until_finished(study: Study, moments: int, seconds: float, kills: int, dice: random.Random) -> list[str]:
    """Kill a study up to `kills` times, at a moment of a write or at any time, and let it end; how each kill went."""
    history: list[str] = []
    while len(history) < kills:
        before = study.finished()
        if dice.random() < 0.6:
            at = dice.randrange(1, moments)
            killed, how = study.run(at) is None, f"moment {at}"
        else:
            after = dice.uniform(0, seconds)
            killed, how = study.run_killed(after), f"{after:.2f} s"
        now = study.finished()
        assert before.items() <= now.items(), f"a finished run was lost or repeated after {history}"
        if not killed:
            break
        history.append(f"{how}: {len(before)} -> {len(now)} finished")
    return history
