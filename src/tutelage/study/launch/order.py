"""In which order the runs of a study begin, so that the last one ends early."""

from collections.abc import Callable, Collection, Iterable

from tutelage.study.plan import RunSpec

_STEP, _TEACHER = 3.0, 1.0  # with a forward pass as the unit; the backward pass costs two


def longest_chain_first(specs: Iterable[RunSpec]) -> list[RunSpec]:
    """The runs by the cost of the longest chain that begins with each: it, a run that needs it, and so on.

    So teachers come before what needs them, and before methods that nothing waits for. Equal ones keep the order of the
    plan: seed after seed. Whoever always takes the first run of this list that is ready ends early, since no run that
    others wait for is left to the end.
    """
    specs = list(specs)
    needed_by: dict[str, list[RunSpec]] = {spec.id: [] for spec in specs}
    for spec in specs:
        for need in spec.needs:
            needed_by.get(need, []).append(spec)  # a finished one is not among them
    chains: dict[str, float] = {}

    def chain(spec: RunSpec) -> float:
        if spec.id not in chains:
            chains[spec.id] = cost(spec) + max(map(chain, needed_by[spec.id]), default=0.0)
        return chains[spec.id]

    return sorted(specs, key=chain, reverse=True)


def last_end(specs: Iterable[RunSpec], seconds: Callable[[RunSpec], float], jobs: int) -> float:
    """Seconds until the last run ends, where so many of them go on at once, in the order of `longest_chain_first`.

    Args:
        specs: the runs.
        seconds: of each.
        jobs: how many go on at once.
    """
    waiting = longest_chain_first(specs)
    ids = {spec.id for spec in waiting}
    ends: dict[str, float] = {}
    now = 0.0
    while waiting:
        ended = {name for name, end in ends.items() if end <= now}
        possible = [spec for spec in waiting if ended.issuperset(ids.intersection(spec.needs))]
        if possible and len(ends) - len(ended) < jobs:
            waiting.remove(possible[0])
            ends[possible[0].id] = now + seconds(possible[0])
        else:
            now = min(end for end in ends.values() if end > now)
    return max(ends.values(), default=0.0)


def cost(spec: RunSpec) -> float:
    """What a run costs, roughly and relative to others of its study: its epochs times the passes of a step."""
    if spec.file is not None:
        return 0.0  # it is only evaluated
    (method,) = spec.config["methods"]
    budget = spec.config["method"].get(method, {}).get("budget", "student")
    teachers = len(spec.config["tasks"])
    epochs = 1 + 4 * teachers / 3 if budget == "with_teachers" else 1.0 if budget == "student" else float(budget)
    return epochs * (_STEP + _TEACHER * len(spec.teachers))


def dependents(failed: str, specs: Collection[RunSpec]) -> list[RunSpec]:
    """The runs that need the run with the id `failed`, or one that needs it."""
    lost = {failed}
    for _ in specs:  # as long as the longest chain could be
        lost |= {spec.id for spec in specs if lost.intersection(spec.needs)}
    return [spec for spec in specs if spec.id in lost - {failed}]
