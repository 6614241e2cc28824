"""What a study left, in Python: tables, numbers, the page, and the trained networks."""

import io
import shutil
from collections.abc import Collection, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from tutelage.deploy import Predictor, load
from tutelage.errors import UserError
from tutelage.files import expand_home, write_shared
from tutelage.layout import SINGLE, run_id
from tutelage.report import WIDE, Summary, latex, markdown, notebook, read_tasks, tables, write_report
from tutelage.report import Results as StudyResults
from tutelage.types import Task
from tutelage.values import read_values, with_new_names

if TYPE_CHECKING:
    import pandas

_FORMATS = {"markdown": markdown, "latex": latex}


class Results:
    """The results of a study, of one folder. A notebook shows them as a table, `print` as text.

    Args:
        folder: of the study, for example runs/rooms.
        tasks: name -> task; None: those that the folder names.
        seeds: that count; None: all.
        trust: modules of your own whose tasks the folder may name; it may come from anybody.

    Raises:
        UserError: the folder holds no results, or names a task that is not trusted.
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        tasks: Mapping[str, Task[Any]] | None = None,
        seeds: Collection[int] | None = None,
        trust: Collection[str] = (),
    ) -> None:
        self.folder, self.seeds = expand_home(folder), seeds
        if tasks is None:
            file = self.folder / "study.yaml"
            if not file.is_file():
                raise UserError(
                    f"{self.folder}: expected the folder of a study, found no study.yaml in it; run it first"
                )
            tasks = read_tasks(with_new_names(read_values(file), {}), file, trust)
        self.tasks = dict(tasks)
        self._results = StudyResults(self.folder, self.tasks, seeds)

    @property
    def methods(self) -> list[str]:
        """The rows of the table, in its order."""
        return list(self._results.methods)

    @property
    def delta(self) -> dict[str, Summary]:
        """Delta main of every method against the single-task networks of the same seed, in %: mean, interval, seeds.

        Of `tutelage.distill` it is against the teachers. Positive is better. It is nan where a metric that it needs has
        no value.
        """
        results = self._results
        methods = [m for m in results.methods if m != SINGLE]
        return {m: results.delta(m, results.protocol, "main") for m in methods}

    def table(self, format: Literal["text", "markdown", "latex"] = "text", width: int | None = None) -> str:
        """Methods against metrics with Delta and intervals, paired differences, and what they show.

        Args:
            format: `text` for a terminal; `markdown` and `latex` for a document, with all metrics in both protocols.
            width: columns of text; None: those of the terminal, or as many as there are where text goes to a file.
        """
        if format in _FORMATS:
            return _FORMATS[format](self.folder, self.tasks, self.seeds)
        if format != "text":
            raise UserError(f"format: expected text, markdown or latex, found {format!r}")
        width = width or shutil.get_terminal_size((WIDE, 24)).columns
        console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, force_jupyter=False)
        for shown in tables(self.folder, self.tasks, width, self.seeds):
            console.print(shown)
        text = console.file
        assert isinstance(text, io.StringIO)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n")

    def to_pandas(self) -> "pandas.DataFrame":
        """A row for every method, seed and protocol: Deltas as `delta/NAME`, metrics as `TASK/METRIC`, and costs.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UserError("to_pandas: expected pandas, found none; pip install pandas") from error
        rows = []
        for row in self._results.rows:
            metrics = {f"{t}/{name}": x for t, values in row.metrics.items() for name, x in values.items()}
            rows.append(
                {
                    **{key: getattr(row, key) for key in ("method", "seed", "protocol", "split", "values")},
                    **{f"delta/{name}": x for name, x in row.delta.items()},
                    **metrics,
                    "parameters": row.parameters,
                    "seconds": row.seconds,
                }
            )
        return pandas.DataFrame(rows)

    def report(self) -> Path:
        """Write the page of the study, report.html in its folder, and return its path."""
        return write_report(self.folder, self.tasks, write_shared)

    def load(
        self, method: str, seed: int | None = None, task: str | None = None, trust: Collection[str] = ()
    ) -> Predictor:
        """The trained network of a method, as `tutelage.load` reads it.

        Args:
            method: a row of the table.
            seed: of its run; by default the first.
            task: of a single-task network.
            trust: modules of your own whose classes may be imported, such as `["my_nets"]` or `["__main__"]`.

        Raises:
            UserError: there is no such run.
        """
        if method == SINGLE and task is None:
            example = next(iter(self.tasks))
            raise UserError(f"load: expected the task of a single-task network, found none; give task={example!r}")
        seed = self._results.seeds[0] if seed is None and self._results.seeds else seed or 0
        return load(self.folder / run_id(method, seed, task), trust)

    def __repr__(self) -> str:
        """The table."""
        return self.table()

    def _repr_html_(self) -> str:
        """The table, for a notebook."""
        return notebook(self.folder, self.tasks, self.seeds)
