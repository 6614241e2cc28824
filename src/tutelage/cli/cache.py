"""`tutelage cache`: what was computed once for all runs, how much disk it takes, and removing it."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from tutelage.cli.output import say
from tutelage.cli.parsing import number

if TYPE_CHECKING:
    from tutelage.cache import Listed

_KINDS = ("teachers", "images")
_ABOUT = """\
Runs keep what they compute once in the cache: what teachers compute for each image, and decoded images. It is made
again where it is missing. The folder is $TUTELAGE_CACHE, by default ~/.cache/tutelage. `clear` never removes what a
process has open.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "cache", help="list or clear what runs compute once", description=_ABOUT, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("action", choices=("list", "clear"), help="what to do")
    parser.add_argument("kind", nargs="?", choices=_KINDS, help="only entries of this kind; by default all")
    parser.add_argument(
        "--older-than", type=number, default=0.0, metavar="DAYS", help="only entries that no run has used for so long"
    )
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace, console: Console) -> int:
    """List or clear the entries."""
    from tutelage.cache import cache_root, clear, entries

    if args.action == "list":
        listed = [one for one in entries(args.kind) if one.days >= args.older_than]
        if listed:
            console.print(_table(listed))
        say(console, f"{_sum(listed)} in {cache_root()}")
        return 0
    removed, held = clear(args.kind, args.older_than)
    say(console, f"removed {_sum(removed)} from {cache_root()}")
    if held:
        say(console, f"kept {_sum(held)}, which a process has open")
    return 0


def _table(listed: "Sequence[Listed]") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("kind", no_wrap=True)
    table.add_column("what", overflow="fold")
    for name in ("size", "last used", "complete"):
        table.add_column(name, no_wrap=True, justify="right")
    for one in listed:
        complete = "yes" if one.complete else f"{int(100 * one.written)} %"
        used = "now" if one.held else f"{one.days:.0f} days ago" if one.days >= 1 else "today"
        table.add_row(one.kind, one.label, decimal(one.bytes), used, complete)
    return table


def _sum(listed: "Sequence[Listed]") -> str:
    count = len(listed)
    return f"{count} {'entry' if count == 1 else 'entries'} ({decimal(sum(one.bytes for one in listed))})"
