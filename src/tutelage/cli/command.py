"""The command line as a whole: from its words to a verb, and from an error to an exit status."""

import argparse
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from tutelage.cli import (
    app,
    bench,
    cache,
    compare,
    completion,
    export,
    init,
    inspect,
    predict,
    prepare,
    presets,
    push,
    report,
    run,
    tune,
)
from tutelage.cli.failures import Terminated, explain, interruption
from tutelage.cli.output import new_console
from tutelage.cli.parsing import Parser

_TRACEBACK = "--traceback"
# One file each, in the order of the help.
_VERBS = (
    *(init, run, tune, presets, inspect, report, compare, bench),
    *(prepare, predict, export, push, app, cache, completion),
)


class _Version(argparse.Action):
    """Print the versions only where they are asked for: it takes time to look them up."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from tutelage.cli.versions import versions

        print(versions(), flush=True)
        parser.exit()


def parser() -> Parser:
    """The parser of the command with all of its verbs."""
    top = Parser(prog="tutelage", description="Teach one network many tasks.", allow_abbrev=False)
    top.add_argument("--version", action=_Version, nargs=0, help="print the versions and the device")
    top.add_argument(_TRACEBACK, action="store_true", help="print the traceback of an error; may stand anywhere")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for module in _VERBS:
        module.add_parser(verbs)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status. 0: done. 2: the user has to change something, for example an argument, a file or a learning
        rate with which training diverges. 1: a defect of tutelage. 130 and 143: stopped by SIGINT or SIGTERM.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    show = _TRACEBACK in words or os.environ.get("TUTELAGE_TRACEBACK", "0") not in ("", "0")
    top = parser()
    # Of pictures with odd metadata, or too many pixels: a file that cannot be read has a line of ours.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for a terminal that knows ASCII alone
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what may stand next
        completion.complete(top)
    if words and words[0] not in top.verbs and _is_study(words[0]):
        top.error(
            f"VERB: expected one of {', '.join(top.verbs)}, found `{words[0]}`; did you mean `tutelage run {words[0]}`?"
        )
    if not words:
        top.print_help()
        return 2
    args = argparse.Namespace(verb="--version")  # which alone does something while words are parsed
    try:
        args = top.parse_args([word for word in words if word != _TRACEBACK])
        with _terminable(), _silent_threads():
            status: int = args.execute(args, new_console())
        return status
    except BrokenPipeError as error:
        if args.verb not in ("--version", "presets", "report", "compare", "cache", "completion"):
            return explain(error, show)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # its reader, such as `head`, has gone
        return 0
    except BaseException as error:  # Ctrl-C and signals, too
        if not isinstance(error, Exception) and interruption(error) is None:
            raise  # SystemExit, for example
        return explain(error, show, getattr(args, "again", None))


def _is_study(word: str) -> bool:
    from tutelage.values import presets

    return not word.startswith("-") and (word.endswith((".yaml", ".yml")) or word in presets())


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does: with what is being written finished or removed, and with one line.

    Training holds both back until its step is finished and saved.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield
        return

    def stop(number: int, frame: object) -> NoReturn:
        raise Terminated

    former = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former if former is not None else signal.SIG_DFL)


@contextmanager
def _silent_threads() -> Iterator[None]:
    """Let no thread print the traceback of an error of the system, such as that of a full disk.

    TensorBoard writes in a thread, and raises what happened there with the next line that it is given.
    """
    former = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if not isinstance(arguments.exc_value, OSError):
            former(arguments)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = former
