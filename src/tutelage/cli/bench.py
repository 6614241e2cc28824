"""`tutelage bench`: measure what balancing costs."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from tutelage.cli.output import say
from tutelage.cli.parsing import whole, whole_numbers
from tutelage.errors import UserError


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "bench", help="measure what balancing costs, as ratios to a plain sum of the losses", allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument(
        "--tasks", type=whole_numbers, default=[3, 5], metavar="A,B", help="numbers of tasks; by default 3,5"
    )
    parser.add_argument("--rounds", type=whole, default=7, metavar="N", help="ratios per median; by default 7")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace, console: Console) -> int:
    """Measure, print the table and write the figures."""
    from tutelage.bench import bench, table, write

    if args.rounds < 1:
        raise UserError(f"--rounds: expected 1 or more, found {args.rounds}")
    with console.status("") as status:
        costs = bench(args.tasks, args.rounds, note=status.update)
    console.print(table(costs))
    if args.out is not None:
        write(args.out, costs, args.rounds)
        say(console, f"figures   {args.out}")
    return 0
