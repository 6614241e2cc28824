"""`tutelage inspect`: look at data before anything is trained on them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from tutelage.cli.output import say
from tutelage.cli.studies import own_flags
from tutelage.files import expand_home

if TYPE_CHECKING:
    from tutelage.study import Study

_ABOUT = """\
Look at the data of a study: how images and labels are stored, how they are understood, which values and classes occur,
which files are left out, what is wrong and what is doubtful. It also writes a page with a sample of each kind drawn.
Nothing is trained.

STUDY is a preset or a YAML file, with the flags of `tutelage run`. Of a FOLDER of images and labels, the study that
`tutelage init FOLDER` would write is looked at.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "inspect", help="look at data", description=_ABOUT, takes_flags=True,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("study", metavar="STUDY|FOLDER", help="preset, YAML file, or folder of images and labels")
    parser.add_argument(
        "--check", choices=["full", "sample"], default="auto",
        help="which samples are decoded; by default all up to 20,000, else a sample",
    )  # fmt: skip
    parser.add_argument(
        "--page", type=expand_home, metavar="FILE", help="where the page goes; by default data-NAME.html"
    )
    parser.set_defaults(execute=execute, parser=parser)


def execute(args: argparse.Namespace, console: Console) -> int:
    """Print the tables and write the page; the status is 2 where something is wrong."""
    folder = Path(args.study).expanduser()
    if folder.is_dir():
        return _show(_proposed(folder, args.flags, console), args, console)
    from tutelage.values import read_draft

    draft = read_draft(
        args.study, args.flags, own_flags(args)
    )  # a mistake in a name or file is found before PyTorch is loaded
    from tutelage.study import complete

    return _show(complete(draft), args, console)


def _proposed(folder: Path, flags: list[str], console: Console) -> "Study":
    """The study of a folder, which is written nowhere that stays."""
    from tempfile import TemporaryDirectory

    from tutelage.files import write_text
    from tutelage.propose import propose
    from tutelage.study import load_study

    proposal = propose(folder, console)
    for line in (*proposal.found, *(f"left out: {line}" for line in proposal.left_out)):
        say(console, line)
    say(console, "")
    with TemporaryDirectory() as scratch:
        file = Path(scratch, f"{proposal.name}.yaml")
        write_text(file, proposal.text(file))
        return load_study(file, flags)


def _show(study: "Study", args: argparse.Namespace, console: Console) -> int:
    from tutelage.report import inspection_messages, inspection_tables, write_inspection
    from tutelage.study import inspect_data

    look, examples = inspect_data(study, console, args.check)
    tasks = study.objects.tasks
    console.print(inspection_tables(look, tasks, console.width))
    for title, lines in inspection_messages(look):
        console.print(f"\n{title}", style="bold")
        for line in lines:
            say(console, f"  {line}")
    page = args.page or Path(f"data-{study.name}.html")
    write_inspection(page, study.name, look, tasks, examples)
    say(console, f"\npage      {page}")
    return 2 if look.wrong else 0
