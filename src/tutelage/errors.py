"""`UserError`, and the only maker of one-line messages."""

import os
import pickle
import re
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from math import inf
from pathlib import Path
from typing import Any, Self

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # of torch's messages
_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_STANDARD = tuple(os.path.abspath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib"))
_INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")
_FRAME = re.compile(r'File "(.+?)", line (\d+), in (\S+)')  # of a traceback that is text
_FOLDER = "tutelage_folder"
_CAUGHT = "Caught "  # "Caught KIND in DataLoader worker process N.", a traceback, "module.KIND: text"
_BROKEN = (AssertionError, ArithmeticError, AttributeError, LookupError, NameError, NotImplementedError, TypeError)


class UserError(ValueError):
    """A mistake that the user has to correct.

    Its text is one line: the key or file, what was expected, what was found, what to do. The command prints that line
    and ends with status 2. An invariant of ours is an `assert` or another exception: the command reports it as a defect
    of tutelage.

    A terminal would obey control characters in what a message quotes of a file, its name included: they are spelt out.
    """

    def __init__(self, text: str) -> None:
        # A loading process passes its error on as lines that `one_line` takes apart.
        lines = text.splitlines() if text.startswith(_CAUGHT) else [text]
        super().__init__("\n".join(map(printable, lines)))


def positive_number(key: str, value: float, advice: str = "") -> float:
    """`value`, which has to be positive and finite: nan and inf pass `value <= 0`, and make nan of what they scale.

    >>> positive_number("KL.temperature", 2.0)
    2.0

    Raises:
        UserError: It is not; `advice` says what to do.
    """
    if not 0 < value < inf:
        raise UserError(f"{key}: expected a positive number, found {value}{advice and f'; {advice}'}")
    return value


class Elsewhere(Exception):  # noqa: N818  # it is never raised: it is the cause of what is
    """The cause of an error that was raised in another process: its traceback there.

    Args:
        text: the traceback.
        ours: whether a line of this package broke, as `raised_by_us` says.
    """

    def __init__(self, text: str, ours: bool) -> None:
        super().__init__(text, ours)
        self.text, self.ours = text, ours

    def __str__(self) -> str:
        return f"in another process:\n{self.text}"

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """What another process needs to know of an error of this one."""
        return cls("".join(traceback.format_exception(error)), raised_by_us(error))


def portable(error: BaseException) -> BaseException:
    """The error, or what is left of it where it cannot be pickled."""
    try:
        copy: Any = pickle.loads(pickle.dumps(error))
        if type(copy) is type(error) and str(copy) == str(error):
            return error
    except Exception:  # classes of users fail in any way; what follows is for them
        pass
    return UserError(str(error)) if isinstance(error, UserError) else RuntimeError(f"{type(error).__name__}: {error}")


def one_line(error: BaseException, most: int = 160) -> str:
    """The text of an error as one printable line.

    A `UserError` is not cut off, since its end says what to do, nor what the system says of a file, since its end is
    the file's name. Of an error in a process that loads images, the last line of the traceback that PyTorch passes on
    is taken. An error without text gives the name of its type.

    Args:
        error: any exception.
        most: number of characters after which the text of any other error is cut off.
    """
    text = str(error).strip()
    if text.startswith(_CAUGHT):
        text = text.splitlines()[-1].split(": ", 1)[-1]
    whole = isinstance(error, UserError) or (isinstance(error, OSError) and error.filename is not None)
    return " ".join(printable(text).split())[: None if whole else most].strip() or type(error).__name__


def nearest(found: object, names: Iterable[str]) -> str | None:
    """The name that is close to what was found; None where none is."""
    folded = {name.lower().replace("_", "-"): name for name in names}
    word = str(found).lower().replace("_", "-")
    begin = [name for name in folded if name.startswith(word)] if len(word) > 2 else []
    near = get_close_matches(word, folded, n=1) or begin
    return folded[near[0]] if near else None


def did_you_mean(found: object, names: Iterable[str]) -> str:
    """What a message adds where a name is close to what was found; empty where none is.

    >>> did_you_mean("kd5mtl", ["url", "kd4mtl"]), did_you_mean("xyz", ["url"])
    ('; did you mean `kd4mtl`?', '')
    """
    near = nearest(found, names)
    return "" if near is None else f"; did you mean `{near}`?"


def cut(value: object, most: int = 80) -> str:
    """What a message quotes of a value that may be of any length."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]} ..."


def near_path(path: Path) -> str:
    """What a message adds where a file or folder beside one that is not there has a name close to it."""
    try:
        near = nearest(path.name, [name for name in os.listdir(path.parent) if name != path.name])
    except OSError:
        return ""
    return "" if near is None else f"; did you mean `{path.parent / near}`?"


def printable(text: str) -> str:
    r"""The text without control characters, which a terminal would obey in a file from anybody; they are spelt out.

    Colours are removed, white space becomes spaces, and anything else that cannot be seen stands as Python writes it,
    so that the name of a file can be told from others.

    >>> printable("\x1b[31mred\x1b[0m\n\x07.png")
    'red \\x07.png'
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else _spelt(c) for c in _COLOUR.sub("", text))


def _spelt(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte of a name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def printable_lines(text: str) -> str:
    """Lines without control characters but the ends of lines."""
    return "\n".join(map(printable, text.split("\n")))


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what caused it, and so on."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def user_code(error: BaseException) -> str | None:
    """Where the user's own code took part in an error, as `FILE:LINE in FUNCTION`.

    A class of the user's is named in YAML by its class_path and called by us. Its code is whatever is neither in this
    package nor in an installed one nor in Python's standard library. None: there is no such code in the tracebacks of
    the error and its causes.
    """
    for current in chain(error):
        frames = [
            (frame.f_code.co_filename, line, frame.f_code.co_qualname)
            for frame, line in traceback.walk_tb(current.__traceback__)
        ]
        frames += _FRAME.findall(str(current))  # of another process
        for file, line, function in reversed(frames):
            path = os.path.abspath(file)
            compiled = file.endswith(".pyx")  # it has the path that it had where it was built
            foreign = compiled or path.startswith((_PACKAGE + os.sep, *_STANDARD)) or _INSTALLED.search(path)
            if not foreign and not file.startswith("<"):  # "<string>" and "<frozen ...>" are generated
                return f"{file}:{line} in {function}"
    return None


def raised_by_us(error: BaseException) -> bool:
    """Whether a line of this package broke on the way to an error: a wrong key, attribute, type or assertion.

    A `UserError` with such a cause may present a defect of tutelage as a mistake of the user.
    """
    for current in chain(error):
        if isinstance(current, Elsewhere):
            return current.ours
        frames = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(current.__traceback__)]
        ours = bool(frames) and os.path.abspath(frames[-1]).startswith(_PACKAGE + os.sep)
        if ours and isinstance(current, _BROKEN):
            return True
    return False


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Mark an exception that leaves the block with the folder that the block writes to.

    The command puts the traceback of a defect there. The innermost of nested blocks counts.
    """
    try:
        yield
    except BaseException as error:  # it goes on, with the folder attached
        vars(error).setdefault(_FOLDER, folder)
        raise


def folder_of(error: BaseException) -> Path | None:
    """The folder with which `writing_to` marked the error, or one of its causes."""
    return next((vars(one)[_FOLDER] for one in chain(error) if _FOLDER in vars(one)), None)
