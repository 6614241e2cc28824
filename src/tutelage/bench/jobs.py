"""What runs side by side, one thread each, gain over one run after the other with all threads (`--jobs`)."""

import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context

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
_case: Case  # of a process that trains


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
        wide, *narrow = [stack.enter_context(_run(network, count)) for count in (threads, *[1] * threads)]
        actions = {
            "one": partial(_steps, [wide], threads),
            "alone": partial(_steps, narrow[:1], threads),
            "together": partial(_steps, narrow, 1),
        }
        try:
            times = in_turns(actions, settings, network.label, repeats=threads)
        except BrokenProcessPool:
            raise UserError(
                "bench jobs: expected processes to go on, found one ended (the system does so when memory is short); "
                "leave `jobs` out"
            ) from None
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


def _run(network: Network, threads: int) -> ProcessPoolExecutor:
    """A process with a run of its own, as `--jobs` has it; a fork would share threads with this one."""
    return ProcessPoolExecutor(1, get_context("spawn"), _build, (network, threads))


def _steps(runs: Sequence[ProcessPoolExecutor], count: int) -> None:
    """Let each of the runs train for some steps, all at the same time."""
    for future in [run.submit(_train, count) for run in runs]:
        future.result()


def _build(network: Network, threads: int) -> None:
    global _case  # of this process, which has nothing else to do
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C, and ends it
    torch.set_num_threads(threads)
    tasks = make_tasks()
    _case = Case(network, tasks, random_batch(tasks, network), precision=machine_precision(_CPU))


def _train(count: int) -> None:
    _case.steps(count)
