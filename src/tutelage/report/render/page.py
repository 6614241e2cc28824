"""One HTML page that explains a study.

It loads nothing: its policy allows pictures in the page itself and the one script, by its hash. The templates escape
every name.
"""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tutelage.files import write_text
from tutelage.report.palette import DARK, LIGHT
from tutelage.report.pictures import gallery
from tutelage.report.results import Results
from tutelage.report.sections.conflict import conflict
from tutelage.report.sections.cost import cost
from tutelage.report.sections.health import health
from tutelage.report.sections.numbers import numbers
from tutelage.report.sections.origin import origin
from tutelage.report.sections.seen import seen
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
    made = Environment(
        loader=PackageLoader("tutelage.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals["palette"] = list(zip(LIGHT, DARK, strict=True))  # of page.css
    return made


def _page(results: Results) -> str:
    shown = gallery(results)
    sections = {
        "numbers": numbers(results),
        "cost": cost(results),
        "gallery": shown,
        "addresses": {} if shown is None else shown.addresses(),
        "training": training(results),
        "conflict": conflict(results),
        "health": health(results),
        "seen": seen(results),
        "origin": origin(results),
    }
    return environment().get_template("page.html").render(study=results.study, script=_script(), **sections)


def _script() -> dict[str, str]:
    """The page's script, and the hash by which the page's policy allows it and nothing else."""
    text = files("tutelage.report").joinpath("templates/page.js").read_text(encoding="utf-8")
    digest = b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"text": Markup(text), "hash": f"sha256-{digest}"}
