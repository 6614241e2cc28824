"""The command `tutelage`: the only place that parses arguments."""

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from tutelage.study import Study

_RUN = """\
Train the single-task networks, then every method, and compare them.

STUDY is a preset (see `tutelage presets`) or a YAML file. Any value of it is overridden by a flag:
  --epochs 2  --seeds 0,1,2  --methods uniform,kd4mtl  --out DIR  --max-steps N  --net.width 0.5  --data.root DIR
`tutelage run STUDY --help` lists all of them with that study's values. The same command again goes on where it stopped.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, 1 where something failed, 2 where the user has to change something."""
    parser = argparse.ArgumentParser(prog="tutelage", description="Teach one network many tasks.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser(
        "run", help="train and compare", description=_RUN, formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )  # fmt: skip
    run.add_argument("study", metavar="STUDY", nargs="?", help="preset or YAML file")
    run.add_argument("--dry-run", action="store_true", help="validate everything and print the plan")
    run.add_argument("-h", "--help", action="store_true", help="show this message; after STUDY, all of its keys")
    verbs.add_parser("presets", help="list the studies and methods that come with tutelage")
    report = verbs.add_parser("report", help="write the table and the page of a study again")
    report.add_argument("folder", type=Path, metavar="DIR", help="folder of a study, for example runs/rooms")
    known, flags = parser.parse_known_args(arguments)
    if flags and known.verb != "run":
        parser.error(f"unrecognized arguments: {' '.join(flags)}")
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(
        logging.WARNING
    )  # it tells the precision of every run, twice
    console = Console()
    try:
        if known.verb == "presets":
            return _presets(console)
        if known.verb == "report":
            return _report(console, known.folder)
        if known.study is None:
            print(run.format_help())
            return 0 if known.help else 2
        if known.help:
            return _help(known.study)
        return _run(console, known.study, flags, known.dry_run)
    except (ValueError, OSError) as error:
        print(f"tutelage: {_message(error)}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"tutelage: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ntutelage: stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


def _run(console: Console, source: str, flags: list[str], dry: bool) -> int:
    from tutelage.report import table, write_report
    from tutelage.study import ConsoleDisplay, load_study, run_study

    study = load_study(source, flags)
    study.config.data.check(study.config.tasks)
    if dry:
        return _plan(console, study)
    with ConsoleDisplay(console) as display:
        run_study(study, display)
    page = write_report(study.folder, study.config.tasks)
    console.print(table(study.folder, study.config.tasks, width=console.width))
    console.print(
        f"page      {page}\nresults   {study.folder / 'results.json'}", markup=False, highlight=False, soft_wrap=True
    )
    again = shlex.join(["tutelage", "run", source, *flags, *([] if "--seeds" in flags else ["--seeds", "0,1,2"])])
    console.print(
        f"next      open the page in a browser; more seeds: {again}; other studies: tutelage presets",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    return 0


def _plan(console: Console, study: "Study") -> int:
    from tutelage.study import duration, estimate

    with console.status("a few steps of every kind of run"):
        kinds = estimate(study)
    shown = Table(title=f"Plan of {study.config.study}: seeds {', '.join(map(str, study.config.seeds))}")
    shown.add_column("run")
    for column in ("runs", "steps a run", "parameters", "time a run", "time"):
        shown.add_column(column, justify="right")
    for kind in kinds:
        cells = (
            str(kind.runs),
            f"{kind.steps:,}",
            f"{kind.parameters:,}",
            duration(kind.seconds),
            duration(kind.total),
        )
        shown.add_row(kind.name, *cells)
    total = sum(kind.total for kind in kinds)
    shown.add_section()
    shown.add_row("all", str(sum(kind.runs for kind in kinds)), "", "", "", duration(total))
    console.print(shown)
    console.print(
        f"The study is valid. Nothing was written; without --dry-run it goes to {study.folder}.", markup=False
    )
    return 0


def _presets(console: Console) -> int:
    from tutelage.study import methods, presets

    for title, lines in (("studies", presets()), ("methods", methods())):
        shown = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
        shown.add_column(no_wrap=True, style="bold")
        shown.add_column()
        for name, line in lines.items():
            shown.add_row(name, line)
        console.print(shown)
    return 0


def _report(console: Console, folder: Path) -> int:
    from tutelage.report import table, write_report
    from tutelage.study import load_study

    study = load_study(folder / "study.yaml")
    page = write_report(folder, study.config.tasks)
    console.print(table(folder, study.config.tasks, width=console.width))
    console.print(f"page      {page}", markup=False, highlight=False, soft_wrap=True)
    return 0


def _help(source: str) -> int:
    from tutelage.study import describe

    print(describe(source))
    return 0


def _message(error: Exception) -> str:
    """The error's line; from a process that loads images, the line under the traceback that comes with it."""
    text = str(error).strip()
    return text.splitlines()[-1].split(": ", 1)[1] if text.startswith("Caught ") else text
