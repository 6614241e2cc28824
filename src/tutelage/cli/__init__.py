"""The command `tutelage`: the only place that parses arguments."""

from tutelage.cli.commands import main

__all__ = ["main"]
