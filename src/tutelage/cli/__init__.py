"""The command `tutelage`: the only place that parses arguments. Each verb is one file."""

from tutelage.cli.command import main

__all__ = ["main"]
