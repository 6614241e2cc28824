"""A study's main table as HTML, for a notebook."""

from collections.abc import Collection, Mapping
from pathlib import Path

from tutelage.report.collapsed import collapsed
from tutelage.report.conclusion import conclusion
from tutelage.report.left_out import left_out
from tutelage.report.render.page import environment
from tutelage.report.results import Results
from tutelage.report.tables import metric_table
from tutelage.report.undefined import undefined
from tutelage.types import Task


def notebook(folder: Path, tasks: Mapping[str, Task], seeds: Collection[int] | None = None) -> str:
    """Every method with its metrics and Delta main in the first protocol, and what they show. Every name is escaped.

    Args:
        folder: of the study.
        tasks: Task name -> task.
        seeds: the seeds that count; None: all.

    Raises:
        UserError: There is no results.json in `folder`.
    """
    results = Results(folder, tasks, seeds)
    model = metric_table(results, results.protocol)
    delta = [column for column in model.of_kind("delta") if column.main]
    model = model.select([*model.of_kind("values", "metric"), *delta, *model.of_kind("parameters")])
    every = (left_out(results), collapsed(results), conclusion(results), undefined(results))
    notes = [note for note in every if note]
    return environment().get_template("notebook.html").render(results=results, model=model, notes=notes)
