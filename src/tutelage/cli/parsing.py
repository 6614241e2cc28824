"""What every verb uses to read its arguments. A mistake in them is one line."""

import argparse
import re
from collections.abc import Callable
from typing import NoReturn, TypeVar

from tutelage.errors import printable

T = TypeVar("T")

# What argparse says of a mistake -> key, expectation, finding. Its wording differs between versions of Python.
_RULES = (
    (r"^argument ([^:]+): ", r"\1: "),
    (r"invalid choice: '?(.*?)'? \(choose from (.*)\)", lambda match: _choice(match[1], match[2])),
    (r"the following arguments are required: (.*)", r"\1: expected a value, found none"),
    (r"unrecognized arguments: (.*)", r"expected no more arguments, found `\1`"),
    (r"expected (one|at least one) argument$", r"expected a value, found none"),
    (r"expected (\d+) arguments$", r"expected \1 values, found fewer"),
    (r"not allowed with argument (\S+)", r"expected no \1 beside it, found both"),
    (r"ignored explicit argument '(.*)'", r"expected no value, found `\1`"),
)


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` that ends with one line and status 2 where arguments are wrong."""

    def error(self, message: str) -> NoReturn:
        """End with status 2 and a line that says what was expected and what was found."""
        for pattern, replacement in _RULES:
            message = re.sub(pattern, replacement, message)
        self.exit(2, f"tutelage: {printable(message)}; see `{self.prog} --help`\n")


def _choice(text: str, choices: str) -> str:
    names = choices.replace("'", "")
    return f"expected one of {names}, found `{text}`"


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add the option of verbs that build classes which a file from anybody may name."""
    parser.add_argument(
        "--trust", action="append", default=[], metavar="MODULE",
        help="module of your own whose classes may be built; may be repeated",
    )  # fmt: skip


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of verbs that load a trained network, as `tutelage.load` does."""
    add_trust(parser)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--size", type=whole, nargs=2, metavar=("H", "W"), help="resize images to this; by default as in training"
    )
    sizes.add_argument("--keep-size", action="store_true", help="do not resize images")


def whole(text: str) -> int:
    """A whole number."""
    return _parse(int, text, "a whole number")


def number(text: str) -> float:
    """A number."""
    return _parse(float, text, "a number")


def whole_numbers(text: str) -> list[int]:
    """Whole numbers with commas between them."""
    return _parse(lambda text: [int(part) for part in text.split(",")], text, "whole numbers such as 0,1,2")


def _parse(kind: Callable[[str], T], text: str, expected: str) -> T:
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected {expected}, found `{text}`") from None
