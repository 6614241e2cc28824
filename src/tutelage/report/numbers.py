"""The page's tables and what they mean."""

from collections.abc import Mapping
from html import escape
from typing import get_args

from tutelage.report.plots import colours, strip
from tutelage.report.results import CONVENTIONS, SINGLE, Results, count, delta, difference, metric, unit
from tutelage.types import MetricProtocol

_DELTAS = {
    "main": "mean over tasks of the relative gain of one main metric each. Positive is better than the single-task "
    "networks of the same seed.",
    "task_mean": "mean over tasks of the mean gain over all metrics of the task (LibMTL). Positive is better.",
    "all_metrics": "mean over all metrics, with the sign turned (Nash-MTL, FAMO). <strong>Negative</strong> is better.",
}
_SOURCES = (
    '<p class="soft">Where a method\'s hyper-parameters come from (column <em>values</em>): <em>study</em>: it has '
    "none of its own; <em>paper</em>: its paper's; <em>tuned</em>: found by <code>tutelage tune</code> on a part of "
    "the training images; <em>changed</em>: a method of ours with other values; <em>control</em>: a variant that is "
    "here to explain another row; <em>own</em>: a method of this study.</p>\n"
)
_PROTOCOLS: Mapping[MetricProtocol, str] = {
    "dataset": "counts accumulated over the whole split; medians are over all its pixels",
    "image": "the value of each image, averaged over the images",
}


def results(found: Results) -> str:
    """Tables, a chart of Delta, and the rules of the comparison."""
    if not found.rows:
        return "<p>No seed has all of its single-task networks yet: there is nothing to compare.</p>\n"
    seeds = ", ".join(map(str, found.seeds))
    over = (
        f"One seed ({seeds}): no interval can be given, and small differences mean nothing."
        if len(found.seeds) == 1
        else f"Seeds {seeds}; mean ± half the 95 % interval of the mean, by Student's t."
    )
    first = found.protocol
    others = [protocol for protocol in get_args(MetricProtocol) if protocol != first]
    parts = [
        f'<p class="soft">{over} All numbers are of the split <em>{escape(found.split)}</em>, which was read once, '
        "after training. Every network had the same data, optimiser, batch size and augmentation, the single-task "
        "networks included, and but for what stands at a method the same epochs and rate; "
        f"{_evaluated(found)}</p>\n<h2>Results</h2>\n",
        _table(found, first),
    ]
    gains = {m: _deltas(found, m) for m in found.methods if m != SINGLE}
    if any(gains.values()):
        chart = strip(gains, colours(found.methods), f"Delta (main) in %, {first} protocol; right is better")
        parts.append(f'<figure role="img" aria-label="Delta of each method and seed">{chart}</figure>\n')
    parts.append(_differences(found))
    parts.append(_SOURCES)
    terms = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in _DELTAS.items())
    parts.append(f"<h3>What Delta means</h3>\n<dl>{terms}</dl>\n")
    parts += [
        f"<details><summary>The same in the {p} protocol</summary>\n{_table(found, p)}</details>\n" for p in others
    ]
    return "".join(parts)


def _evaluated(found: Results) -> str:
    if found.protocol == "image":
        return "as in the authors' scripts, the epoch with the lowest training loss was evaluated."
    return "the last weights were evaluated."


def _differences(found: Results) -> str:
    """Every method against every method that is no control, pair by pair."""
    references = found.references
    if len(found.seeds) == 1 or len(found.methods) < 3:
        return ""
    parts = [
        "<h3>Paired differences</h3>\n"
        '<p class="soft">Delta of the method in the row minus Delta of the method in the column: the mean over the '
        "seeds that both have, ± half the 95 % interval of that mean. The two have a seed's teachers, initial weights "
        "and order of images in common, which cancels. Bold: the interval does not include 0. It is not corrected for "
        "the number of comparisons: of twenty that mean nothing one is expected to be bold.</p>\n"
    ]
    for protocol in (found.protocol, *(p for p in get_args(MetricProtocol) if p != found.protocol)):
        for convention, mark in CONVENTIONS.items():
            table = _difference_table(found, references, protocol, convention, mark)
            name = f"Delta {convention}, {protocol} protocol"
            first = protocol == found.protocol and convention == "main"
            parts.append(table if first else f"<details><summary>{name}</summary>\n{table}</details>\n")
    return "".join(parts)


def _difference_table(
    found: Results, references: list[str], protocol: MetricProtocol, convention: str, mark: str
) -> str:
    heads = "".join(f'<th scope="col">minus<br>{escape(b)}</th>' for b in references)
    lines = ""
    for a in found.methods:
        cells = ""
        for b in references:
            gap = difference(found, a, b, protocol, convention)
            text = gap.text("%", signed=True) if a != b else ""
            cells += f"<td><strong>{text}</strong></td>" if gap.clear and a != b else f"<td>{text}</td>"
        lines += f'<tr><th scope="row">{escape(a)}</th>{cells}</tr>\n'
    return (
        f'<div class="wide"><table class="numbers plain">\n<caption>Delta {convention} ({mark}), '
        f"<em>{protocol}</em> protocol.</caption>\n"
        f'<thead><tr><th scope="col">method</th>{heads}</tr></thead>\n<tbody>\n{lines}</tbody></table></div>\n'
    )


def _deltas(found: Results, method: str) -> list[float]:
    values = [row["delta"]["main"] for row in found.of(method, found.protocol)]
    return [value for value in values if value is not None]


def _table(found: Results, protocol: MetricProtocol) -> str:
    groups, heads = [_group("Delta", len(_DELTAS))], []
    for index, (name, mark) in enumerate(CONVENTIONS.items()):
        heads.append(_head(name, mark, first=index == 0, main=index == 0))
    for t, task in found.tasks.items():
        groups.append(_group(t, len(task.metric_info)))
        for index, (name, info) in enumerate(task.metric_info.items()):
            heads.append(_head(name, unit(info), first=index == 0, main=name == task.main))
    heads += [_head("parameters", "", first=True), _head("training", "min")]
    body = "".join(_line(found, method, protocol) for method in found.methods)
    return (
        '<div class="wide"><table class="numbers">\n'
        f"<caption><em>{protocol}</em> protocol: {_PROTOCOLS[protocol]}.</caption>\n"
        f"<thead><tr><td></td><td></td>{''.join(groups)}{_group('cost', 2)}</tr>\n"
        f'<tr><th scope="col">method</th><th scope="col">values</th>{"".join(heads)}</tr></thead>\n'
        f"<tbody>\n{body}</tbody></table></div>\n"
    )


def _line(found: Results, method: str, protocol: MetricProtocol) -> str:
    rows = found.of(method, protocol)
    groups = [[delta(rows, name).text("%", signed=True) for name in _DELTAS]]
    for t, task in found.tasks.items():
        groups.append([metric(rows, t, name).text(info.unit) for name, info in task.metric_info.items()])
    minutes = sum(row["seconds"] for row in rows) / len(rows) / 60
    groups.append([count(rows[0]["parameters"]), f"{minutes:.1f}"])
    cells = ""
    for first, *rest in groups:
        cells += f'<td class="first">{first}</td>' + "".join(f"<td>{cell}</td>" for cell in rest)
    missing = len(rows) < len(found.seeds)
    fewer = f' <span class="soft">({len(rows)} of {len(found.seeds)} seeds)</span>' if missing else ""
    source = f'<td class="left">{escape(str(rows[0].get("values", "")))}</td>'
    return f'<tr><th scope="row">{escape(method)}{fewer}</th>{source}{cells}</tr>\n'


def _group(name: str, columns: int) -> str:
    return f'<th scope="colgroup" class="group first" colspan="{columns}">{escape(name)}</th>'


def _head(name: str, mark: str, first: bool = False, main: bool = False) -> str:
    kind = " ".join(word for word, holds in (("first", first), ("main", main)) if holds)
    return f'<th scope="col" class="{kind}">{escape(name)}<br><span class="soft">{escape(mark) or "&nbsp;"}</span></th>'
