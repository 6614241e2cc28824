"""Where the time of a distilled step goes."""

from collections.abc import Callable
from typing import Any

from tutelage.bench.case import Case, machine_precision, make_tasks, random_batch
from tutelage.bench.cost import Cost, Spread
from tutelage.bench.harness import Settings, clock, seconds
from tutelage.bench.networks import Network, chosen

SHARES = ("forward", "losses", "teachers", "adaptors and distances", "backward", "optimiser", "rest")


class Stopwatch:
    """Adds up the time in functions, each without that of the watched functions that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []  # of the calls that are running: the time of watched calls within

    def watch(self, owner: Any, method: str, share: str) -> None:
        """Count the time of a method of an object under the name of a share."""
        function: Callable[..., Any] = getattr(owner, method)

        def watched(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            started = clock()
            try:
                return function(*args, **kwargs)
            finally:
                whole = clock() - started
                self.seconds[share] = self.seconds.get(share, 0.0) + whole - self._inner.pop()
                if self._inner:
                    self._inner[-1] += whole

        setattr(owner, method, watched)


def shares(settings: Settings) -> list[Cost]:
    """The shares of a step of every network with distillation, in the precision that this machine trains in."""
    return [cost for _, network in chosen(settings) for cost in _measure(network, settings)]


def _measure(network: Network, settings: Settings) -> list[Cost]:
    tasks = make_tasks()
    device = settings.device
    precision = machine_precision(device)
    case = Case(network, tasks, random_batch(tasks, network), distilled=True, precision=precision, device=device)
    watch, run = Stopwatch(), case.run
    assert case.distiller is not None
    watch.watch(run.student, "forward", "forward")
    for task in tasks.values():
        watch.watch(task, "loss", "losses")
    watch.watch(case.distiller, "forward", "adaptors and distances")
    watch.watch(case.distiller.teachers, "read", "teachers")
    for method in ("backward", "finish"):
        watch.watch(run.balancer, method, "backward")
    for method in ("step", "zero_grad"):
        watch.watch(run.optimisers, method, "optimiser")
    case.steps()
    rounds: dict[str, list[float]] = {share: [] for share in SHARES}
    for n in range(settings.rounds):
        settings.note(f"{network.label}: round {n + 1} of {settings.rounds}")
        watch.seconds = {}
        whole = seconds(case.steps)
        watch.seconds["rest"] = whole - sum(watch.seconds.values())
        for share, values in rounds.items():
            values.append(100 * watch.seconds[share] / whole)
    return [Cost.of("shares", network.label, share, Spread.of(values), "%") for share, values in rounds.items()]
