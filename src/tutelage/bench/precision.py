"""What precision and memory layout cost, and what the loop costs beside one that is written by hand."""

from functools import partial

from tutelage.bench.case import DTYPES, Case, Precision, make_tasks, random_batch
from tutelage.bench.cost import Cost, Spread
from tutelage.bench.harness import Action, Settings, in_turns
from tutelage.bench.machine import operations_per_second
from tutelage.bench.networks import Network, chosen
from tutelage.bench.plain_loop import PlainLoop
from tutelage.train.operations import operations

# What bf16 in channels_last may take of the time of fp32 in torch's own layout, where the processor has bf16.
LIMITS = {"segnet": 0.40, "segnet-quarter": 0.60}
BY_HAND = 1.03  # our step over the same by hand: no slower, to what the clock can tell apart
KINDS: dict[str, tuple[Precision, bool]] = {
    "fp32 contiguous": ("32-true", False),
    "fp32 channels_last": ("32-true", True),
    "bf16 channels_last": ("bf16-mixed", True),
}
_DEFAULT = "fp32 contiguous"


def precision(settings: Settings) -> list[Cost]:
    """A plain step of every network, by precision, by layout, and by whose loop it is."""
    return [cost for name, network in chosen(settings) for cost in _measure(name, network, settings)]


def _measure(key: str, network: Network, settings: Settings) -> list[Cost]:
    tasks = make_tasks()
    device = settings.device
    batch = random_batch(tasks, network).to(device)
    actions: dict[str, Action] = {}
    for kind, (number, channels_last) in KINDS.items():
        case = Case(network, tasks, batch, precision=number, channels_last=channels_last, device=device)
        by_hand = PlainLoop(network, tasks, batch, number, channels_last)
        actions[f"ours {kind}"] = partial(case.steps, settings.steps)
        actions[f"by hand {kind}"] = partial(by_hand.steps, settings.steps)
    times = in_turns(actions, settings, network.label, repeats=settings.steps)
    count = operations(actions[f"by hand {_DEFAULT}"]) / settings.steps
    costs = []
    for kind, (number, _) in KINDS.items():
        floor = count / operations_per_second(DTYPES[number], device)
        costs.append(Cost.of("precision", network.label, kind, Spread.of(times[f"ours {kind}"]), "ms", floor=floor))
    for kind, (number, _) in KINDS.items():
        if kind != _DEFAULT:
            spread = Spread.ratio(times[f"ours {kind}"], times[f"ours {_DEFAULT}"])
            floor = operations_per_second(device=device) / operations_per_second(DTYPES[number], device)
            limit = LIMITS.get(key) if number == "bf16-mixed" else None
            name = f"{kind} / {_DEFAULT}"
            costs.append(Cost.of("precision", network.label, name, spread, floor=floor, limit=limit))
    for kind in KINDS:
        spread = Spread.ratio(times[f"ours {kind}"], times[f"by hand {kind}"])
        name = f"ours / by hand, {kind}"
        costs.append(Cost.of("precision", network.label, name, spread, floor=1.0, limit=BY_HAND))
    return costs
