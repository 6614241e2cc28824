"""A study's tables as Markdown, for a README or a paper's notes."""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import get_args

from tutelage.report.results import CONVENTIONS, SINGLE, Results, delta, difference, metric, unit
from tutelage.types import MetricProtocol, Task


def markdown(folder: Path, tasks: Mapping[str, Task], seeds: Collection[int] | None = None) -> str:
    """Metrics and the three Deltas in both protocols, Delta main of each seed, and paired differences; of some seeds.

    Raises:
        ValueError: There is no results.json in `folder`.
    """
    found = Results(folder, tasks, seeds)
    named = ", ".join(map(str, found.seeds))
    over = f"seeds {named}; mean ± half the 95 % interval" if len(found.seeds) > 1 else f"seed {named}; no interval"
    parts = [f"Split `{found.split}`, {over}.\n"]
    for protocol in (found.protocol, *(p for p in get_args(MetricProtocol) if p != found.protocol)):
        parts.append(f"*{protocol}* protocol:\n")
        parts.append(_metrics(found, protocol, main=True))
        parts.append(_metrics(found, protocol, main=False))
    if len(found.seeds) > 1:
        parts.append(f"Delta main of each seed, *{found.protocol}* protocol:\n")
        parts.append(_seeds(found))
        parts.append(
            f"Paired differences of Delta main (row minus column), *{found.protocol}* protocol; bold where the "
            "interval does not include 0; over the seeds that both have:\n"
        )
        parts.append(_differences(found))
    return "\n".join(parts)


def _metrics(found: Results, protocol: MetricProtocol, main: bool) -> str:
    """Delta main and the main metrics, or all the others."""
    conventions = [name for name in CONVENTIONS if (name == "main") == main]
    names = [(t, m) for t, task in found.tasks.items() for m in task.metric_info if (m == task.main) == main]
    heads = [f"Delta {name} {CONVENTIONS[name]}" for name in conventions]
    heads += [f"{t} {m} {unit(found.tasks[t].metric_info[m])}" for t, m in names]

    def line(method: str) -> Iterable[str]:
        rows = found.of(method, protocol)
        for name in conventions:
            yield delta(rows, name).text("%", signed=True)
        for t, m in names:
            yield metric(rows, t, m).text(found.tasks[t].metric_info[m].unit)

    return _table(
        ["values", "seeds", *heads] if main else heads, found.methods, _with_values(found, line) if main else line
    )


def _with_values(found: Results, line: Callable[[str], Iterable[str]]) -> Callable[[str], Iterable[str]]:
    def more(method: str) -> Iterable[str]:
        rows = found.of(method, "dataset")
        return [str(rows[0].get("values", "")), str(len(rows)), *line(method)]

    return more


def _seeds(found: Results) -> str:
    def line(method: str) -> Iterable[str]:
        gains = {row["seed"]: row["delta"]["main"] for row in found.of(method, found.protocol)}
        return ("" if gains.get(seed) is None else f"{gains[seed]:+.2f}" for seed in found.seeds)

    return _table([f"seed {seed}" for seed in found.seeds], [m for m in found.methods if m != SINGLE], line)


def _differences(found: Results) -> str:
    def line(a: str) -> Iterable[str]:
        for b in found.references:
            gap = difference(found, a, b, found.protocol, "main")
            text = "" if a == b else gap.text("%", signed=True)
            yield f"**{text}**" if a != b and gap.clear else text

    return _table([f"minus `{_plain(b)}`" for b in found.references], found.methods, line)


def _table(heads: list[str], methods: Iterable[str], line: Callable[[str], Iterable[str]]) -> str:
    lines = [f"| method | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    lines += [f"| `{_plain(method)}` | {' | '.join(line(method))} |" for method in methods]
    return "\n".join(lines) + "\n"


def _plain(name: str) -> str:
    return name.replace("|", "\\|").replace("`", "'")
