"""The tasks of a study, built of its values: how they read their metrics and draw, for whoever shows results."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tutelage.deploy import build_tasks
from tutelage.errors import UserError
from tutelage.report.rows import read_rows
from tutelage.types import Task


def read_tasks(values: Mapping[str, Any], file: Path, trust: Collection[str] = ()) -> dict[str, Task]:
    """The tasks of a study's values, and nothing else: no data, no network, no device.

    The folder of a study may come from anybody: only tasks of tutelage and of trusted modules are imported.

    Args:
        values: of the study.
        file: that has them, for messages.
        trust: modules of your own whose tasks may be imported and built.

    Raises:
        UserError: a task cannot be built, or is not trusted; or the study has results of other tasks.
    """
    try:
        tasks = build_tasks(values.get("tasks"), trust)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    results = file.with_name("results.json")
    measured = {t for row in read_rows(results)[1] for t in row.metrics}
    if not measured <= tasks.keys():  # a table without them would look complete
        raise UserError(
            f"{file}: expected the tasks of {results}, {', '.join(sorted(measured))}; found {', '.join(tasks)}; run "
            "the study again, which does not repeat finished runs"
        )
    return tasks
