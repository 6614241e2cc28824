"""From an error to one line on stderr, an exit status and, for a defect of tutelage, a file with the traceback."""

import errno
import os
import platform
import re
import shlex
import signal
import sys
import tempfile
import time
import traceback
from importlib.metadata import version
from pathlib import Path

from tutelage.errors import UserError, folder_of, one_line, printable_lines, raised_by_us, user_code
from tutelage.files import write_text

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Errors of the system that name no file.
_SYSTEM = (*_FULL, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EROFS, errno.ESTALE, errno.EPIPE)
# What PyTorch says where the machine is too small -> expectation, advice.
_MACHINE = (
    (
        r"out of memory|can't allocate memory|ALLOC_FAILED|^MemoryError",
        "enough memory",
        "lower train.batch_size (and raise train.accumulate), or take smaller images",
    ),
    (
        r"DataLoader worker .*(killed by signal|exited unexpectedly)",
        "processes that load images to stay alive",
        "free memory (also shared memory, /dev/shm), or lower train.workers",
    ),
)


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived outside of training."""


def explain(error: BaseException, show: bool, again: str | None = None) -> int:
    """Print why the command stops.

    Args:
        error: what left the verb.
        show: print the traceback, too, in place of writing a file.
        again: how the same command continues after an interruption.

    Returns:
        The exit status: 2 where the user has to change something, 1 for a defect of tutelage, 128 + the number of the
        signal after an interruption.
    """
    stopped = interruption(error)
    if stopped is not None:
        line, status = stopped
        print(f"\ntutelage: {line}" + (f"; the same command continues {again}" if again else ""), file=sys.stderr)
        return status
    line, status, reported = _describe(error)
    if show:
        _print_traceback(error)
    elif reported:
        file = _write(error)
        if file is None:
            _print_traceback(error)
        else:
            line += f"; please report it with {file}" if status == 1 else f"; the traceback is in {file}"
    print(f"tutelage: {line}", file=sys.stderr)
    return status


def _print_traceback(error: BaseException) -> None:
    print(printable_lines("".join(traceback.format_exception(error))), end="", file=sys.stderr)


def interruption(error: BaseException) -> tuple[str, int] | None:
    """The line and the status after Ctrl-C or a signal; None after anything else."""
    interrupted = getattr(sys.modules.get("tutelage.train"), "Interrupted", None)  # only training raises it
    if interrupted is not None and isinstance(error, interrupted):
        return str(error.line), 128 + error.signal
    if isinstance(error, Terminated):
        return "stopped by SIGTERM", 128 + signal.SIGTERM
    return ("stopped", 128 + signal.SIGINT) if isinstance(error, KeyboardInterrupt) else None


def _describe(error: BaseException) -> tuple[str, int, bool]:
    """The line for an error, the exit status, and whether its traceback is worth a file."""
    text = one_line(error)
    if isinstance(error, UserError):
        return text, 2, user_code(error) is not None or raised_by_us(error)
    if isinstance(error, OSError) and error.errno is not None and (error.filename or error.errno in _SYSTEM):
        remedy = "; make room and give the same command again" if error.errno in _FULL else ""
        remedy = "; move or remove that folder" if error.errno == errno.EISDIR else remedy
        return text + remedy, 2, False
    name = type(error).__name__
    for pattern, expected, advice in _MACHINE:
        if isinstance(error, RuntimeError | MemoryError) and re.search(pattern, text):
            return f"expected {expected}, found {name}: {text}; {advice}", 2, False
    place = user_code(error)
    if place is not None:
        return f"{place}: expected this code of yours to run, found {name}: {text}", 2, True
    return f"this is a defect of tutelage: {name}: {text}", 1, True


def _write(error: BaseException) -> Path | None:
    """Write the traceback in the folder of the run, the study or the user; None where none is writable."""
    lines = (
        f"command   {shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])}",
        f"versions  tutelage {version('tutelage')}, torch {version('torch')}, Python {platform.python_version()}",
        f"platform  {platform.platform()}",
    )
    text = "\n".join(lines) + "\n\n" + "".join(traceback.format_exception(error))
    name = f"tutelage-traceback-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (folder_of(error), Path(), Path(tempfile.gettempdir())):
        if folder is not None and folder.is_dir():
            try:
                write_text(folder / name, text)
                return folder / name
            except OSError:  # a full or read-only disk: try the next folder
                continue
    return None
