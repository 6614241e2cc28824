"""What every verb uses to read its arguments. A mistake in them is one line."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, NoReturn, TypeVar

from tutelage.errors import did_you_mean, printable

T = TypeVar("T")

# What argparse says of a mistake -> key, expectation, finding. Its wording differs between versions of Python.
_RULES = (
    (r"^argument ([^:]+): ", r"\1: "),
    (r"invalid choice: '?(.*?)'? \(choose from (.*)\)", lambda match: _choice(match[1], match[2])),
    (r"the following arguments are required: (.*)", r"\1: expected a value, found none"),
    (r"unrecognized arguments: (.*)", r"expected no more words, found `\1`"),
    (r"expected (one|at least one) argument$", r"expected a value, found none"),
    (r"expected (\d+) arguments$", r"expected \1 values, found fewer"),
    (r"not allowed with argument (\S+)", r"expected no \1 beside it, found both"),
    (r"ignored explicit argument '(.*)'", r"expected no value, found `\1`"),
)


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` that ends with one line and status 2 where arguments are wrong.

    Args:
        takes_flags: take flags that it does not know, each with a value and wherever they stand, as those of a study:
            they become the attribute `flags`.
        settings: of `argparse.ArgumentParser`.
    """

    def __init__(self, *args: Any, takes_flags: bool = False, **settings: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **settings})
        self.takes_flags = takes_flags

    @property
    def options(self) -> list[str]:
        """The long flags that it knows."""
        return [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]

    def options_with(self, flag: str) -> list[argparse.Action]:
        """The argument with this flag."""
        return [action for action in self._actions if flag in action.option_strings]

    @property
    def positionals(self) -> list[argparse.Action]:
        """The arguments without a flag."""
        return [action for action in self._actions if not action.option_strings]

    @property
    def verbs(self) -> dict[str, "Parser"]:
        """The parsers of the verbs below it, by name."""
        below = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return dict(below[0]) if below else {}

    def parse_known_args(  # type: ignore[override]  # of two overloads, one of which nobody calls
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse the arguments, of which none may be left."""
        words, flags = self._take_flags(list(sys.argv[1:] if args is None else args))
        if flags and not self.takes_flags:
            flag = flags[0].partition("=")[0]
            self.error(f"expected a flag of `{self.prog}`, found `{flag}`{did_you_mean(flag, self.options)}")
        parsed, rest = super().parse_known_args(words, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        if self.takes_flags:
            parsed.flags = flags
        return parsed, []

    def _take_flags(self, words: list[str]) -> tuple[list[str], list[str]]:
        """The words without the flags that are not known, and those, with their values where flags are taken."""
        own, flags = list[str](), list[str]()
        known = {flag: action for action in self._actions for flag in action.option_strings}
        while words:
            word = words.pop(0)
            action = known.get(word)
            if action is None and word.startswith("--") and word.partition("=")[0] not in known:
                flags.append(word)
                if self.takes_flags and "=" not in word and words and not words[0].startswith("--"):
                    flags.append(words.pop(0))
                continue
            own.append(word)
            if self.verbs and not word.startswith("-"):
                break  # the rest is for the parser of that verb
            if action is not None and action.nargs is None and words and not words[0].startswith("--"):
                own.append(words.pop(0))  # its value is no word of its own, whatever it looks like
        return own + words, flags

    def error(self, message: str) -> NoReturn:
        """End with status 2 and a line that says what was expected and what was found."""
        for pattern, replacement in _RULES:
            message = re.sub(pattern, replacement, message)
        self.exit(2, f"tutelage: {printable(message)}; see `{self.prog} --help`\n")


def _choice(text: str, choices: str) -> str:
    names = choices.replace("'", "")
    return f"expected one of {names}, found `{text}`{did_you_mean(text, names.split(', '))}"


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
        "--size", type=positive, nargs=2, metavar=("H", "W"), help="resize images to this; by default as in training"
    )
    sizes.add_argument("--keep-size", action="store_true", help="do not resize images")


def size_of(args: argparse.Namespace) -> "tuple[int, int] | Literal['trained', 'keep']":
    """What the sizes of `add_model_options` say, as `tutelage.load` takes it."""
    if args.keep_size:
        return "keep"
    return "trained" if args.size is None else (args.size[0], args.size[1])


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where a network runs."""
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1 or mps; by default a GPU if there is one"
    )


def whole(text: str) -> int:
    """A whole number."""
    return _parse(int, text, "a whole number")


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return _parse(_at_least_one, text, "a whole number of at least 1")


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


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
