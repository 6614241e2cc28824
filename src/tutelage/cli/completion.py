"""`tutelage completion`: what a shell needs to complete the words of the command, and what it then asks for."""

import argparse
import shlex
from collections.abc import Callable
from contextlib import suppress
from os import environ
from pathlib import Path
from typing import Any

from rich.console import Console

from tutelage.cli import predict
from tutelage.cli.parsing import Parser
from tutelage.errors import UserError

_ABOUT = """\
Print what makes a shell complete verbs, presets, methods and the flags of a study. To have it in every shell:
  bash  eval "$(tutelage completion bash)"  in ~/.bashrc
  zsh   eval "$(tutelage completion zsh)"   in ~/.zshrc, after compinit
  fish  tutelage completion fish | source   in ~/.config/fish/config.fish
Needs argcomplete: pip install 'tutelage[completion]'
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command."""
    parser = verbs.add_parser(
        "completion", help="complete words in bash, zsh or fish", description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="whose code is printed")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace, console: Console) -> int:
    """Print the code."""
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError as error:
        raise UserError(
            "completion: expected the package argcomplete, found none; pip install 'tutelage[completion]'"
        ) from error
    print(shellcode(["tutelage"], shell=args.shell))
    return 0


def complete(top: Parser) -> None:
    """Answer a shell that asks what may stand next, and end the process."""
    import argcomplete

    for verb in ("run", "tune", "inspect"):
        _add_flags(top.verbs[verb])
    for action in top.verbs["predict"].options_with("--write"):
        action.completer = _listed(lambda: predict.KINDS)  # type: ignore[attr-defined]  # of argcomplete
    argcomplete.autocomplete(top, always_complete_options="long", print_suppressed=True)


def _add_flags(parser: Parser) -> None:
    """Add the flags of the study that the line names, or of any study."""
    from tutelage.values import flag_names, flags_of, make_draft
    from tutelage.values.presets import methods, overlays, presets, read_values

    line = shlex.split(environ.get("COMP_LINE", "").replace("'", "").replace('"', ""))
    study = next((word for word in line[2:] if word in presets() or Path(word).is_file()), None)
    flags = flag_names()
    if study is not None:
        with suppress(UserError):  # the command itself will say it; values that a later flag gives are still missing
            flags |= flags_of(make_draft(study, read_values(study)).laid)
    lists: dict[str, Callable[..., list[str]]] = {"methods": _listed(methods), "with": lambda **_: list(overlays())}
    for name, choices in flags.items():
        if f"--{name}" not in parser.options:
            action = parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
            action.completer = lists.get(name, _fixed(choices))  # type: ignore[attr-defined]  # of argcomplete
    for action in parser.positionals:
        studies = [*presets(), *map(str, Path().glob("*.y*ml"))]
        action.completer = _fixed(studies)  # type: ignore[attr-defined]  # of argcomplete


def _fixed(choices: list[str]) -> Callable[..., list[str]]:
    return lambda **_: choices


def _listed(names: Callable[[], Any]) -> Callable[..., list[str]]:
    """A completer of names with commas between them."""

    def completer(prefix: str, **_: Any) -> list[str]:
        before = prefix.rpartition(",")[0]
        return [f"{before},{name}" if before else name for name in names() if name not in before.split(",")]

    return completer
