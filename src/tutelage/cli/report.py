"""`tutelage report`: write the table and the page of a study again."""

import argparse
from typing import Any

from rich.console import Console

from tutelage.cli.output import print_tables, say
from tutelage.cli.parsing import add_trust, whole_numbers
from tutelage.errors import UserError, printable_lines, writing_to
from tutelage.files import expand_home, write_shared


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser("report", help="write the table and the page of a study again", allow_abbrev=False)
    parser.add_argument("folder", type=expand_home, metavar="DIR", help="folder of a study, for example runs/rooms")
    parser.add_argument(
        "--seeds", type=whole_numbers, metavar="A,B", help="tables of these seeds alone; by default of all"
    )
    add_trust(parser)
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--markdown", action="store_true", help="print the tables as Markdown and write nothing")
    formats.add_argument("--latex", action="store_true", help="print the tables as LaTeX and write nothing")
    formats.add_argument(
        "--figures",
        action="store_true",
        help="write the page's charts (SVG and PNG) and pictures to DIR/figures, nothing else",
    )
    formats.add_argument(
        "--records",
        type=expand_home,
        metavar="OUT",
        help="copy what the tables rest on to OUT, without weights, logs and folders of this machine, nothing else",
    )
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace, console: Console) -> int:
    """Write the page and print the tables; or print these as Markdown or LaTeX, or write figures or records."""
    from tutelage.values import read_values, with_new_names

    folder = args.folder
    if args.seeds is not None and (args.figures or args.records):
        raise UserError(
            f"--seeds: expected tables beside it, found --{'figures' if args.figures else 'records'}, which has all "
            "seeds; leave it out"
        )
    if not (folder / "study.yaml").is_file():
        raise UserError(f"{folder}: expected the folder of a study, found no study.yaml in it; run the study first")
    with writing_to(folder):
        values = with_new_names(read_values(folder / "study.yaml"), {})
        from tutelage.report import latex, markdown, read_tasks, write_figures, write_records, write_report

        # Tasks alone: data, networks and devices of the machine that trained are not needed.
        tasks = read_tasks(values, folder / "study.yaml", args.trust)
        if args.markdown or args.latex:
            print(printable_lines((markdown if args.markdown else latex)(folder, tasks, args.seeds)))
            return 0
        if args.figures:
            figures = write_figures(folder, tasks, folder / "figures")
            say(console, f"figures   {folder / 'figures'} ({len(figures)} files)")
            return 0
        if args.records:
            records = write_records(folder, args.records)
            say(console, f"records   {args.records} ({len(records)} files)")
            return 0
        page = write_report(folder, tasks, write_shared)
        print_tables(console, folder, tasks, args.seeds)
    say(console, f"page      {page}")
    return 0
