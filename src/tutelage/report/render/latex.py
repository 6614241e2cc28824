"""Tables as LaTeX for a paper, with booktabs."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from tutelage.errors import printable
from tutelage.report.compare import Comparison
from tutelage.report.left_out import left_out
from tutelage.report.results import Results
from tutelage.report.tables import Cell, Column, TableModel, difference_table, metric_table
from tutelage.types import Task

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "…": r"\dots{}",
}  # fmt: skip


def latex(folder: Path, tasks: Mapping[str, Task], seeds: Collection[int] | None = None) -> str:
    """Main metrics and Delta of a study, and with several seeds the paired differences of Delta.

    Args:
        folder: of the study.
        tasks: Task name -> task.
        seeds: the seeds that count; None: all.

    Raises:
        UserError: There is no results.json in `folder`.
    """
    results = Results(folder, tasks, seeds)
    model = metric_table(results, results.protocol)
    main = [column for column in (*model.of_kind("metric"), *model.of_kind("delta")) if column.main]
    over = "one seed"
    if len(results.seeds) > 1:
        bold = f", bold: differs from {results.base}" if results.base else ""
        over = f"{len(results.seeds)} seeds, mean and half the 95 % interval{bold}"
    over += f", {results.selection}" if results.selection else ""
    parts = [f"% {printable(note)}\n" for note in (left_out(results),) if note]
    parts += [
        _tabular(model.select(main), f"{results.study}, split {results.split}, {results.protocol} protocol, {over}")
    ]
    if len(results.seeds) > 1:
        differences = difference_table(results, results.protocol, "main")
        parts.append(_tabular(differences, "Delta main of the row minus that of the column, paired by seed"))
    return "\n".join(parts)


def compared_latex(comparison: Comparison) -> str:
    """What differs in the configs, the main metrics, and the paired differences."""
    tables = {
        "what differs in the configs": comparison.settings(),
        f"main metrics, {comparison.protocol} protocol, mean and half the 95 % interval": comparison.values(),
        "paired differences over the seeds that both have": comparison.differences(),
    }
    parts = [f"% {printable(note)}\n" for note in comparison.notes]
    return "\n".join([*parts, *(_tabular(model, title) for title, model in tables.items() if model.lines)])


def escape(text: str) -> str:
    r"""Text as LaTeX prints it.

    >>> print(escape("a_b: 5 % ± 1"))
    a\_b: 5 \% $\pm$ 1
    """
    return "".join(_SPECIAL.get(character, character) for character in text)


def _tabular(model: TableModel, title: str) -> str:
    columns = "".join("l" if column.is_text else "r" for column in model.columns)
    lines = [f"% {printable(title)}; needs \\usepackage{{booktabs}}", rf"\begin{{tabular}}{{l{columns}}}", r"\toprule"]
    lines += [_row(["", *map(_heading, model.columns)]), r"\midrule"]
    lines += [_row([escape(line.name), *map(_cell, line.cells)]) for line in model.lines]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _row(cells: list[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _heading(column: Column) -> str:
    return escape(" ".join(part for part in (column.group, column.name, column.mark) if part))


def _cell(cell: Cell) -> str:
    text = re.sub(r"(?<![\w.])-(?=\d)", "$-$", escape(cell.text))  # a minus, not a hyphen
    return rf"\textbf{{{text}}}" if cell.strong else text
