"""What `run` and `tune` share: the study that their words mean."""

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from tutelage.cli.output import say

if TYPE_CHECKING:
    from tutelage.values import Draft


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the study and what is asked of it."""
    parser.add_argument("study", metavar="STUDY", nargs="?", help="preset or YAML file")
    parser.add_argument(
        "--check", choices=["full", "sample", "none"], default="auto",
        help="which samples of the data are decoded before training; by default all up to 20,000, else a sample",
    )  # fmt: skip
    parser.add_argument("-h", "--help", action="store_true", help="print this text; after STUDY, all of its keys")


def own_flags(args: argparse.Namespace) -> list[str]:
    """The flags of the verb itself, without dashes, which a mistake may have meant."""
    return [flag.removeprefix("--") for flag in args.parser.options]


def read_study(args: argparse.Namespace, console: Console, flags: Sequence[str]) -> "Draft":
    """Read the study with its flags, and say what it is, before PyTorch is loaded.

    Raises:
        UserError: a name, path, key or value is wrong.
    """
    from tutelage.values import read_draft

    draft = read_draft(args.study, flags, own_flags(args))
    if int(os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or 0) == 0:  # of those that were started together
        say(console, f"study     {_headline(draft.laid)}")
    return draft


def _headline(values: dict[str, Any]) -> str:
    name, seeds = values["study"], values.get("seeds") or [0]
    methods = ", ".join(map(str, values.get("methods") or values["method"]))
    shown = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return f"{name}: {methods}; {shown}; in {values.get('out') or f'runs/{name}'}"


def describe(args: argparse.Namespace) -> int:
    """Print how the verb is used or, after STUDY, every key of that study."""
    if args.study is None:
        if args.flags and not args.help:
            from tutelage.values import check_flags

            check_flags(args.flags, own_flags(args))
            args.parser.error("the following arguments are required: STUDY")
        print(args.parser.format_help())
        return 0 if args.help else 2
    from tutelage.values import read_values

    read_values(args.study)  # a name that is none is found before PyTorch is loaded
    from tutelage.study import describe as keys_of

    print(keys_of(args.study))
    return 0
