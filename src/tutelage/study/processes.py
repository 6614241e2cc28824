"""A function in several processes of this machine, which train one run together while this one watches them."""

import os
import pickle
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch._C._distributed_c10d import FileStore

from tutelage.errors import Elsewhere, UserError, portable
from tutelage.study.observers import RunObserver, Sender, Silent
from tutelage.study.start_method import process_context, start, take_environment, take_signals
from tutelage.train import STOPPING, HeldSignals, Interrupted, LostProcessError, Processes

_GRACE = 10.0  # seconds in which the others say why they end, once one has failed
_POLL = 0.2  # seconds between two looks at whether a signal has arrived


Compute = Callable[..., Any]  # compute(world, observer, *arguments), importable by its name


@dataclass
class _Worker:
    """One of the processes, as this one sees it. Its outcome is `done` or `failed`, or `died` without a word."""

    process: BaseProcess
    said: connection.Connection
    outcome: tuple[str, Any] | None = None

    def hear(self, observer: RunObserver) -> None:
        """Pass on what it has said, and note how it ended."""
        alive = self.process.is_alive()  # looked at first: what it said before its end is there then
        try:
            while self.outcome is None and self.said.poll():
                kind, content = pickle.loads(self.said.recv_bytes())  # of a process that this one started
                if kind in ("done", "failed"):
                    self.outcome = kind, content
                else:
                    getattr(observer, kind)(*content)
        except (EOFError, OSError):  # its end is closed, before it said how it ended
            self.process.join(_GRACE)
            alive = False
        if self.outcome is None and not alive:  # a process that loads images for it may hold the other end open
            self.outcome = "died", self.process.exitcode


def in_processes(count: int, compute: Compute, observer: RunObserver, *arguments: Any) -> Any:
    """Call `compute(world, observer, *arguments)` in `count` new processes; returns what the main one returns.

    They do not hear signals: the first SIGTERM or SIGINT that arrives here asks them to stop after their step, the
    second ends them at once, and so does the end of this process. The threads of this process are shared among them.

    Raises:
        Interrupted: A signal stopped them between two steps.
        UserError: One of them was killed; or what one of them raises.
    """
    context = process_context()
    stop = context.Value("i", 0, lock=False)
    threads = max(1, torch.get_num_threads() // count)
    with tempfile.TemporaryDirectory(prefix="tutelage-") as folder, HeldSignals() as signals:
        workers: list[_Worker] = []
        try:
            for rank in range(count):
                said, say = context.Pipe(duplex=False)
                work = _Work(rank, count, Path(folder) / "store", threads, dict(os.environ), compute, arguments)
                process = context.Process(target=work, args=(stop, say))
                start(process)
                say.close()
                workers.append(_Worker(process, said))
            _watch(workers, observer, signals, stop)
        finally:
            for worker in workers:
                worker.process.kill()
                worker.process.join()
    value = _result(workers)
    if signals.received is not None:  # after the last step
        signal.raise_signal(signals.received)
    return value


def _watch(workers: Sequence[_Worker], observer: RunObserver, signals: HeldSignals, stop: Any) -> None:
    """Wait until all have ended, or some seconds after one has failed."""
    deadline = float("inf")
    while (running := [w for w in workers if w.outcome is None]) and time.monotonic() < deadline:
        if signals.received is not None:
            stop.value = int(signals.received)
        connection.wait([x for w in running for x in (w.said, w.process.sentinel)], _POLL)
        for worker in running:
            worker.hear(observer)
        if any(w.outcome is not None and w.outcome[0] != "done" for w in workers):
            deadline = min(deadline, time.monotonic() + _GRACE)


def _result(workers: Sequence[_Worker]) -> Any:
    """What the main process returned; or the error that the others followed from."""
    failed = [w.outcome[1] for w in workers if w.outcome is not None and w.outcome[0] == "failed"]
    followed = [x for x in failed if isinstance(x[0], LostProcessError)]
    died = [(rank, w.outcome[1]) for rank, w in enumerate(workers) if w.outcome is not None and w.outcome[0] == "died"]
    for error, detail in (x for x in failed if not isinstance(x[0], LostProcessError)):
        raise error from detail
    for rank, code in died:
        how = f"was ended by {signal.Signals(-code).name}" if code and code < 0 else f"ended with status {code}"
        raise UserError(
            f"train.devices: expected {len(workers)} processes that end by themselves, found that process {rank} "
            f"{how}; free memory, or lower train.devices or train.batch_size"
        )
    for error, detail in followed:
        raise error from detail
    assert workers[0].outcome is not None
    return workers[0].outcome[1][0]


@dataclass
class _Work:
    """What one of the processes does."""

    rank: int
    count: int
    store: Path
    threads: int
    environ: Mapping[str, str]
    compute: Compute
    arguments: tuple[Any, ...] = field(default_factory=tuple)

    def __call__(self, stop: Any, say: connection.Connection) -> None:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        take_signals()
        take_environment(self.environ)

        def send(kind: str, *content: Any) -> None:
            say.send_bytes(pickle.dumps((kind, content)))  # tensors by value: this process may end before they are read

        threading.Thread(target=_end_with_parent, daemon=True).start()
        torch.set_num_threads(self.threads)
        names = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
        if names:  # the others are here: no address of this machine has to be found
            os.environ.setdefault("GLOO_SOCKET_IFNAME", names[0])
        try:
            store = FileStore(str(self.store), self.count)
            world = Processes(store, self.rank, self.count, self.rank, lambda: int(stop.value))
            observer = Sender(send) if world.main else Silent()
            outcome: tuple[Any, ...] = "done", self.compute(world, observer, *self.arguments)
        except (Exception, Interrupted) as error:  # whatever it is, the process that watches raises it
            outcome = "failed", portable(error), Elsewhere.of(error)
        send(*outcome)
        say.close()
        if outcome[0] == "done":
            world.close()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
