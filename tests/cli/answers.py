"""Commands in one process of their own, one after the other: what each answers, and whether it answers at all."""

import contextlib
import io
import multiprocessing
import os
import re
import resource
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.study.fragile import context

SECONDS = 180  # after which a command hangs
MEMORY = 12 * 2**30  # bytes of addresses that the process may have


@dataclass(frozen=True)
class Answer:
    """What a command left: its status (None where it hung or its process died), and what it printed."""

    status: int | None
    said: str
    complained: str
    seconds: float

    def fault(self, names: Iterable[str]) -> str | None:
        """What is wrong with the answer; `names` are the keys, files and words that a line may name."""
        if self.status is None:
            return f"no answer after {self.seconds:.0f} s: {self.complained}"
        if self.status not in (0, 2):
            return f"status {self.status}: {self.complained}"
        if self.status == 0 or self.complained == "":  # `inspect` prints what is wrong in its tables
            return f"beside the answer: {self.complained}" if self.complained else None
        if not re.fullmatch(r"tutelage: [^\n]+\n", self.complained):
            return f"not one line: {self.complained}"
        line = self.complained.lower()
        if "expected" not in line or "found" not in line or len(line) > 600:
            return f"says not what was expected and found, or too much: {self.complained}"
        if "defect" in self.complained or "traceback" in self.complained:
            return f"a traceback: {self.complained}"
        words = set(re.findall(r"[\w-]+", self.complained.partition(": ")[2].partition(" found")[0]))
        return None if words & set(names) else f"names neither key nor file: {self.complained}"


class Answers:
    """A process that runs commands in a folder; another takes its place where one hangs or dies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._start()

    def _start(self) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, str(self.folder)))
        self.process.start()
        theirs.close()

    def of(self, words: Sequence[str]) -> Answer:
        """The answer to `tutelage WORDS`."""
        began = time.monotonic()
        self.pipe.send(list(words))
        try:
            if self.pipe.poll(SECONDS):
                status, said, complained = self.pipe.recv()
                return Answer(status, said, complained, time.monotonic() - began)
            why = "it hangs"
        except (EOFError, ConnectionError):
            why = "its process died"
        self.close()
        self._start()
        return Answer(None, "", why, time.monotonic() - began)

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, folder: str) -> None:
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = os.path.join(folder, ".cache")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    import torch

    torch.set_num_threads(1)
    while True:
        try:
            words = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(words))


def _answer(words: list[str]) -> tuple[int, str, str]:
    from tutelage.cli import main

    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        try:
            status = main(words)
        except SystemExit as stop:
            status = int(stop.code or 0)
        except BaseException:  # whatever leaves the command is what is looked for
            traceback.print_exc()
            status = -1
    return status, said.getvalue(), complained.getvalue()


@contextlib.contextmanager
def answering(folder: Path) -> Iterator[Answers]:
    """A process for the length of a block."""
    answers = Answers(folder)
    try:
        yield answers
    finally:
        answers.close()
