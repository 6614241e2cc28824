"""A study that is killed at a chosen place: before a flush, a renaming or a removal, or within a line of the log.

A place is what is done and to which file, such as `rename checkpoint.pt`; it is passed several times. The study notes
every place that it passes and every step that it trains.
"""

import json
import os
import re
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import torch
import yaml
from tests.study.fragile import context
from tests.wrong import base

STEPS = 6  # of a run, three to an epoch, with a checkpoint after every second one
PLACES, TRAINED, SAID = "places", "trained", "said.json"
Place = tuple[str, int]  # what is done to which file, and the how many-th time


@dataclass(frozen=True)
class Fuse:
    """Notes the places that the processes of a study pass, and kills at one of them.

    Attributes:
        folder: where they are noted.
        at: the place; None: it kills nowhere.
        watching: of several processes of a run, kill the one that watches them, not the one that arrives there.
    """

    folder: Path
    at: Place | None
    watching: bool = False

    def burn(self, place: str) -> None:
        with (self.folder / PLACES).open("a") as file:
            file.write(f"{place}\n")
        if self.at is not None and place == self.at[0] and self.passed()[place] == self.at[1]:
            parent = parent_process()
            if self.watching and (self.folder / "watching").read_text() != str(os.getpid()):
                assert parent is not None
                os.kill(parent.pid or 0, signal.SIGKILL)
                time.sleep(60)  # until it notices
            os.kill(os.getpid(), signal.SIGKILL)

    def passed(self) -> Counter[str]:
        return Counter((self.folder / PLACES).read_text().splitlines())


def _name(file: Any) -> str:
    """The name under which a file will be known."""
    path = os.readlink(f"/proc/self/fd/{file}") if isinstance(file, int) else os.fspath(file)
    return "a folder" if os.path.isdir(path) else re.sub(r"^\.(.*)\.part-\w+$", r"\1", os.path.basename(path))


@contextmanager
def fused(fuse: Fuse) -> Iterator[None]:
    """Let this process burn the fuse at every place, and note its steps."""
    from tutelage.train import JsonLines
    from tutelage.train.saver import Saver

    fsync, replace, unlink = os.fsync, os.replace, os.unlink
    log, end_step = JsonLines.log_metrics, Saver.end_step

    def flushed(file: Any) -> None:
        fuse.burn(f"flush {_name(file)}")
        fsync(file)

    def renamed(part: Any, path: Any) -> None:
        fuse.burn(f"rename {_name(path)}")
        replace(part, path)

    def removed(path: Any, **kwargs: Any) -> None:
        where = Path(os.fsdecode(path))
        if not where.is_absolute() or fuse.folder in where.parents:  # not what Python itself keeps for its processes
            fuse.burn(f"remove {_name(path)}")
        unlink(path, **kwargs)

    def logged(self: JsonLines, *args: Any, **kwargs: Any) -> None:
        size = self.path.stat().st_size
        log(self, *args, **kwargs)
        line = self.path.read_bytes()[size:]
        os.truncate(self.path, size + len(line) // 2)
        fuse.burn("log")
        with self.path.open("ab") as file:
            file.write(line[len(line) // 2 :])

    def ended(self: Saver) -> None:
        if self.path is not None:
            with (fuse.folder / TRAINED).open("a") as file:
                file.write(f"{self.path.parent} {self.run.step}\n")
        end_step(self)

    os.fsync, os.replace, os.unlink = flushed, renamed, removed
    JsonLines.log_metrics, Saver.end_step = logged, ended
    try:
        yield
    finally:
        os.fsync, os.replace, os.unlink = fsync, replace, unlink
        JsonLines.log_metrics, Saver.end_step = log, end_step


def _compute(compute: Any, fuse: Fuse, world: Any, *arguments: Any) -> Any:
    """What one of several processes of a run does; the main one writes."""
    if not world.main:
        return compute(world, *arguments)
    with fused(fuse):
        return compute(world, *arguments)


def work(folder: str, at: Place | None, watching: bool) -> None:
    """Run the command in a process of its own."""
    warnings.simplefilter("error")
    os.environ |= {"XDG_CACHE_HOME": f"{folder}/cache", "TUTELAGE_JOBS": "1"}
    torch.set_num_threads(1)
    command(folder, at, watching)


def command(folder: str, at: Place | None, watching: bool) -> None:
    """Run the command in this process and leave what it said."""
    from tutelage.cli import main

    Path(folder, "watching").write_text(str(os.getpid()))
    fuse, execute = Fuse(Path(folder), at, watching), sys.modules["tutelage.study.execute"]
    start = execute.in_processes
    execute.in_processes = lambda count, compute, *rest: start(count, partial(_compute, compute, fuse), *rest)
    said, complained = StringIO(), StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(complained), fused(fuse):
            status = main(["run", f"{folder}/study.yaml", "--out", f"{folder}/runs"])
    finally:
        execute.in_processes = start
    Path(folder, SAID).write_text(json.dumps({"status": status, "complained": complained.getvalue()}))


@dataclass
class Killed:
    """The folder of a study of two single-task networks and a method, and how to start it."""

    folder: Path
    method: str
    devices: int = 1

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        values = base(methods=[self.method])
        values["tasks"] = {t: values["tasks"][t] for t in ("depth", "normals")}
        values["data"]["init_args"] |= {"train": 12}
        values["net"]["init_args"] |= {"filters": [4, 4, 4, 4, 4]}
        values["train"] |= {"epochs": 2, "checkpoint_steps": 2, "log_steps": 1, "devices": self.devices}
        (self.folder / "study.yaml").write_text(yaml.safe_dump(values))

    @property
    def out(self) -> Path:
        return self.folder / "runs"

    def run(self, at: Place | None = None, watching: bool = False) -> bool:
        """Start it, wait for its end, and say whether it was killed.

        Several processes of a run that is killed nowhere are started by this one, which has what they are forked from.
        """
        for name in (PLACES, TRAINED, SAID):
            (self.folder / name).unlink(missing_ok=True)
        if self.devices > 1 and at is None:
            command(str(self.folder), at, watching)
        else:
            process = context.Process(target=work, args=(str(self.folder), at, watching))
            process.start()
            process.join(300)
            assert not process.is_alive(), "it hangs"
            if not (self.folder / SAID).exists():
                assert process.exitcode == -signal.SIGKILL
                return True
        said = json.loads((self.folder / SAID).read_text())
        if self.devices > 1 and at is not None and said["status"] == 2:
            assert "process 0 was ended by SIGKILL" in said["complained"], said
            return True
        assert said == {"status": 0, "complained": ""}
        return False

    def places(self) -> list[Place]:
        """The places that the last process passed, in their order."""
        counts = Counter[str]()
        places = []
        for place in (self.folder / PLACES).read_text().splitlines():
            counts[place] += 1
            places.append((place, counts[place]))
        return places

    def trained(self) -> dict[str, list[int]]:
        """Run -> the steps that the last process trained."""
        file, steps = self.folder / TRAINED, dict[str, list[int]]()
        for line in file.read_text().splitlines() if file.exists() else ():
            run, _, step = line.rpartition(" ")
            steps.setdefault(os.path.relpath(run, self.out), []).append(int(step))
        return steps

    def saved(self) -> dict[str, int]:
        """Run -> the steps that its files hold: those of its checkpoint, or all of a finished one."""
        steps = {}
        for run in ("single/depth/seed0", "single/normals/seed0", f"{self.method}/seed0"):
            checkpoint = self.out / run / "checkpoint.pt"
            if (self.out / run / "result.json").exists():
                steps[run] = STEPS
            else:
                steps[run] = torch.load(checkpoint, weights_only=True)["step"] if checkpoint.exists() else 0
        return steps
