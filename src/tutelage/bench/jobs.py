"""What runs side by side, one thread each, gain over one run after the other with all threads (`--jobs`)."""

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

import torch

from tutelage.bench.case import Case, machine_precision, make_tasks, random_batch
from tutelage.bench.cost import Cost, Spread
from tutelage.bench.harness import Settings, in_turns
from tutelage.bench.networks import Network, chosen
from tutelage.errors import UserError

# The most that two runs side by side may take of the time of two runs one after the other, with two threads.
LIMITS = {"segnet-quarter": 0.65, "efficientnet-lite0": 0.70}
_MOST = 4  # runs at once: more need the memory of as many networks, and say little more
_CPU = torch.device("cpu")
_context = multiprocessing.get_context("spawn")  # a fork would share threads with this process


def jobs(settings: Settings) -> list[Cost]:
    """A plain step of every network on the CPU: of one run with N threads, and of N runs with one thread each.

    N are the threads that torch takes by itself, at most 4.
    """
    threads = min(torch.get_num_threads(), _MOST)
    if threads == 1:
        settings.note("jobs is left out: it compares one run with all threads with one run a thread, and there is one")
        return []
    if settings.device.type != "cpu":
        settings.note("jobs: on the CPU, also where there is a GPU")
    return [cost for name, network in chosen(settings) for cost in _measure(name, network, threads, settings)]


def _measure(key: str, network: Network, threads: int, settings: Settings) -> list[Cost]:
    with ExitStack() as stack:
        wide, *narrow = [stack.enter_context(_Run(network, count)) for count in (threads, *[1] * threads)]
        actions = {
            "one": lambda: _steps([wide], threads),
            "alone": lambda: _steps(narrow[:1], threads),
            "together": lambda: _steps(narrow, 1),
        }
        times = in_turns(actions, settings, network.label, repeats=threads)
    one, alone, together = (Spread.of(times[name]) for name in actions)
    costs = [
        Cost.of("jobs", network.label, f"a step of one run, {threads} threads", one, "ms"),
        Cost.of("jobs", network.label, "a step of one run, 1 thread", alone, "ms"),
        Cost.of("jobs", network.label, f"a step of one of {threads} runs, 1 thread each, / {threads}", together, "ms"),
    ]
    ratio = Spread.ratio(times["together"], times["one"])
    floor = Spread.ratio(times["alone"], times["one"]).value / threads  # if the runs did not slow each other down
    name, limit = f"{threads} runs side by side / one after the other", LIMITS.get(key) if threads == 2 else None
    return [*costs, Cost.of("jobs", network.label, name, ratio, floor=floor, limit=limit)]


def _steps(runs: Sequence["_Run"], count: int) -> None:
    """Let each of the runs train for some steps at the same time."""
    for run in runs:
        run.begin(count)
    for run in runs:
        run.wait()


class _Run:
    """A run in a process of its own, as `--jobs` has it; it ends with the `with` block."""

    def __init__(self, network: Network, threads: int) -> None:
        self.connection, theirs = _context.Pipe()
        self.process = _context.Process(target=_train, args=(theirs, network, threads), daemon=True)
        self.process.start()
        theirs.close()

    def begin(self, count: int) -> None:
        """Let it train for some steps."""
        with self._told():
            self.connection.send(count)

    def wait(self) -> None:
        """Until it has trained."""
        with self._told():
            self.connection.recv()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, ConnectionError):
            self.process.join()
            raise UserError(
                f"bench jobs: expected a process to go on, found it ended with status {self.process.exitcode} (-9: the "
                "system ends processes so when memory is short); leave `jobs` out"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.connection.close()
        self.process.join()


def _train(connection: Connection, network: Network, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C, and ends it
    torch.set_num_threads(threads)
    tasks = make_tasks()
    case = Case(network, tasks, random_batch(tasks, network), precision=machine_precision(_CPU))
    try:
        while True:
            case.steps(connection.recv())
            connection.send("done")
    except (EOFError, ConnectionError):  # no more
        connection.close()
