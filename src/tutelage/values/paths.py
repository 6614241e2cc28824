"""`~` and variables of the environment in the paths of a study."""

import os
import re
from collections.abc import Sequence
from typing import Any

from tutelage.errors import UserError

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_WORDS = ("about",)  # keys that hold sentences


def expand_paths(value: Any, key: str = "") -> Any:
    """Plain values in which paths have the home folder for `~`, and the values of `$NAME` and `${NAME}`.

    A path is a text that begins with `~`, or that has a variable and, beside it, nothing or a `/`.

    Args:
        value: plain values.
        key: under which they stand, for messages.

    Raises:
        UserError: a variable is not set, or there is no such user.
    """
    if isinstance(value, dict):
        return {k: x if k in _WORDS else expand_paths(x, f"{key}.{k}".lstrip(".")) for k, x in value.items()}
    if isinstance(value, list):
        return [expand_paths(x, key) for x in value]
    return _expand(value, key) if isinstance(value, str) else value


def expand_flags(flags: Sequence[str]) -> list[str]:
    """Words of the command line, keys and values in turn, with their paths likewise."""
    return [_expand(word, flags[i - 1] if i else "") for i, word in enumerate(flags)]


def _expand(text: str, key: str) -> str:
    home, _, rest = text.partition("/")
    if re.fullmatch(r"~\w*", home):
        found = os.path.expanduser(home)
        if found.startswith("~"):
            raise UserError(
                f"{key}: expected the home folder of a user, found none of `{home[1:]}`; write the whole path"
            )
        text = f"{found}/{rest}" if rest else found
    if "/" not in text and not _VARIABLE.fullmatch(text):
        return text
    return _VARIABLE.sub(lambda match: _variable(match[1] or match[2], key), text)


def _variable(name: str, key: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise UserError(f"{key}: expected the variable {name} to be set, found none; set it, or write the whole path")
    return value
