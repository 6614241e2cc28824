"""`tutelage compare`: studies, or methods of them, beside each other."""

import argparse
from typing import Any

from rich.console import Console

from tutelage.cli.output import say
from tutelage.cli.parsing import add_trust
from tutelage.errors import UserError, printable_lines
from tutelage.files import expand_home

_ABOUT = """\
Compare the first FOLDER with the others: what differs in their configs, their main metrics, and the differences between
runs of the same seed with intervals. FOLDER is that of a study (every method is compared with the one of the same
name), or of one method in it, for example runs/rooms/kd4mtl.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "compare", help="compare studies, or methods of them", description=_ABOUT, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "folders", type=expand_home, nargs="+", metavar="FOLDER", help="folder of a study, or of a method in it"
    )
    add_trust(parser)
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--markdown", action="store_true", help="print Markdown")
    formats.add_argument("--latex", action="store_true", help="print LaTeX with booktabs")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace, console: Console) -> int:
    """Print the comparison."""
    if len(args.folders) < 2:
        raise UserError(f"FOLDER: expected two folders or more, found {args.folders[0]} alone; add another")
    studies = [folder if (folder / "study.yaml").is_file() else folder.parent for folder in args.folders]
    for folder, study in zip(args.folders, studies, strict=True):
        if not (study / "study.yaml").is_file():
            raise UserError(
                f"{folder}: expected the folder of a study, or of a method in one, found no study.yaml in it or above; "
                "run the study first"
            )
    from tutelage.values import read_values, with_new_names

    values = with_new_names(read_values(studies[0] / "study.yaml"), {})
    from tutelage.report import Comparison, compared, compared_latex, compared_markdown, read_tasks

    comparison = Comparison(args.folders, read_tasks(values, studies[0] / "study.yaml", args.trust))
    if args.markdown or args.latex:
        print(printable_lines((compared_markdown if args.markdown else compared_latex)(comparison)))
        return 0
    for table in compared(comparison):
        console.print(table)
    for note in comparison.notes:
        say(console, f"note      {note}")
    return 0
