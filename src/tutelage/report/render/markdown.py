"""A study's tables as Markdown, for a README or a paper's notes."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from tutelage.report.collapsed import collapsed
from tutelage.report.compare import Comparison
from tutelage.report.conclusion import conclusion
from tutelage.report.left_out import left_out
from tutelage.report.results import Results
from tutelage.report.tables import Column, TableModel, difference_table, metric_table, seed_table
from tutelage.report.undefined import undefined
from tutelage.types import Task


def markdown(folder: Path, tasks: Mapping[str, Task], seeds: Collection[int] | None = None) -> str:
    """Metrics and the three Deltas in both protocols, what they show, Delta main of each seed, and paired differences.

    Args:
        folder: of the study.
        tasks: Task name -> task.
        seeds: the seeds that count; None: all.

    Raises:
        UserError: There is no results.json in `folder`.
    """
    results = Results(folder, tasks, seeds)
    names = ", ".join(map(str, results.seeds))
    over = f"seed {names}; no interval"
    if len(results.seeds) > 1:
        bold = f"; bold: differs from `{results.base}`" if results.base else ""
        over = f"seeds {names}; mean ± half the 95 % interval{bold}"
    chosen = f"; weights: {results.selection}" if results.selection else ""
    counted = f"; labelled images: {results.labelled}" if results.labelled else ""
    parts = [f"Split `{results.split}`, {over}{chosen}{counted}.\n"]
    for protocol in results.protocols:
        model = metric_table(results, protocol)
        values = [*model.of_kind("delta"), *model.of_kind("metric")]
        parts.append(f"*{protocol}* protocol:\n")
        main = [column for column in values if column.main]
        parts.append(
            _table(model.select([*model.of_kind("values", "seeds"), *main, *model.of_kind("compute")]), _heading)
        )
        parts.append(_table(model.select(column for column in values if not column.main), _heading))
    notes = (left_out(results), undefined(results), conclusion(results), collapsed(results))
    parts += [f"{note}\n" for note in notes if note]
    if len(results.seeds) > 1:
        parts.append(f"Delta main of each seed, *{results.protocol}* protocol:\n")
        parts.append(_table(seed_table(results), _heading))
        parts.append(
            f"Paired differences of Delta main (row minus column), *{results.protocol}* protocol; bold where the "
            "interval does not include 0; over the seeds that both have:\n"
        )
        model = difference_table(results, results.protocol, "main")
        parts.append(_table(model, lambda column: f"{column.group} {_code(column.name)}"))
    return "\n".join(parts)


def compared_markdown(comparison: Comparison) -> str:
    """What differs in the configs, the main metrics, and the paired differences."""
    parts = [f"{note}.\n" for note in comparison.notes]
    if (settings := comparison.settings()).lines:
        parts.append(_table(settings, _heading, "key"))
    parts.append(f"Main metrics, *{comparison.protocol}* protocol; mean ± half the 95 % interval:\n")
    parts.append(_table(comparison.values(), _heading))
    parts.append("Paired differences over the seeds that both have; bold where the interval does not include 0:\n")
    parts.append(_table(comparison.differences(), _heading))
    return "\n".join(parts)


def _heading(column: Column) -> str:
    return " ".join(_plain(part) for part in (column.group, column.name, column.mark) if part)


def _table(model: TableModel, heading: Callable[[Column], str], name: str = "method") -> str:
    lines = [f"| {name} | {' | '.join(map(heading, model.columns))} |", "|---" * (len(model.columns) + 1) + "|"]
    for line in model.lines:
        cells = [f"**{cell.text}**" if cell.strong else _plain(cell.text) for cell in line.cells]
        lines.append(f"| {_code(line.name)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _code(name: str) -> str:
    return f"`{_plain(name).replace('`', chr(39))}`"


def _plain(text: str) -> str:
    """A bar would end the cell."""
    return text.replace("|", "\\|")
