"""One HTML page that explains a study. It has no script and loads nothing; the templates escape every name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from tutelage.files import write_text
from tutelage.report.pictures import pictures
from tutelage.report.results import Results
from tutelage.report.sections.conflict import conflict
from tutelage.report.sections.health import health
from tutelage.report.sections.numbers import numbers
from tutelage.report.sections.origin import origin
from tutelage.report.sections.training import training
from tutelage.types import Task


def write_report(folder: Path, tasks: Mapping[str, Task], write: Callable[[Path, str], None] = write_text) -> Path:
    """Write `report.html` from results.json and the runs; what is missing or damaged is left out.

    Args:
        folder: of the study.
        tasks: Task name -> task.
        write: writes a text to a path. In a folder that other processes write into, too, it has to take the study's
            lock.

    Returns:
        The page's path.

    Raises:
        UserError: There is no results.json.
    """
    path = folder / "report.html"
    write(path, _page(Results(folder, tasks)))
    return path


def environment() -> Environment:
    """What fills our templates: every name in them is escaped, and one that is missing is an error."""
    return Environment(
        loader=PackageLoader("tutelage.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _page(results: Results) -> str:
    return (
        environment()
        .get_template("page.html")
        .render(
            study=results.study,
            numbers=numbers(results),
            pictures=pictures(results),
            training=training(results),
            conflict=conflict(results),
            health=health(results),
            origin=origin(results),
        )
    )
