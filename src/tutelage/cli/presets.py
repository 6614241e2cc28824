"""`tutelage presets`: list the studies, methods and overlays that come with tutelage."""

import argparse
from typing import Any

from rich.console import Console
from rich.table import Table


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "presets", help="list the studies and methods that come with tutelage", allow_abbrev=False
    )
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace, console: Console) -> int:
    """Print one table of each kind."""
    from tutelage.values import methods, overlays, presets

    kinds = {"studies": presets(), "methods": methods(), "overlays, for any study: --with NAME": overlays()}
    for title, lines in kinds.items():
        table = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, style="bold")
        table.add_column()
        for name, line in lines.items():
            table.add_row(name, line)
        console.print(table)
    return 0
