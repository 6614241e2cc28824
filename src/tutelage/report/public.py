"""What is published names no folder of the machine that it was made on: `…/NAME` stands for an absolute path."""

import re
import shlex
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from tutelage.values import dump_line, parse

_PART = r"""[^\s/\\'":,;{}\[\]]"""
_ABSOLUTE = re.compile(
    r"(?P<address>\b(?!file:)[A-Za-z][\w+.-]+://[^\s'\"]+)|"
    rf"(?:\bfile:(?://)?|(?<![\w.…/\\-]))(?:~\w*|\b[A-Za-z]:)?[/\\](?:{_PART}+[/\\]+)*(?P<name>{_PART}+)"
)


def without_folders(value: Any) -> Any:
    """Plain values in which only the last part of each absolute path is left, also within texts and keys.

    >>> without_folders({"root": "/data/of mine/nyuv2", "url": "https://a.b/c", "about": "as in /data/x and ~/y/z"})
    {'root': '…/nyuv2', 'url': 'https://a.b/c', 'about': 'as in …/x and …/z'}
    """
    if isinstance(value, dict):
        return {without_folders(key): without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    if not isinstance(value, str):
        return value
    path = _path(value)
    return _ABSOLUTE.sub(_last, value) if path is None else f"…/{path.name}"


def command_without_folders(command: str) -> str:
    """The same of a command: its words may be paths with spaces, flags with one behind `=`, and values of YAML.

    >>> command_without_folders("tutelage run '/my data/x.yaml' --root=/d/nyu --net '{file: /of mine/n.pt}' --out a/b")
    "tutelage run …/x.yaml --root=…/nyu --net '{file: …/n.pt}' --out a/b"
    """
    try:
        words = shlex.split(command)
    except ValueError:  # a quote without its end
        return str(without_folders(command))
    return " ".join(map(_quoted, map(_word, words)))


def system_alone(platform: str) -> str:
    """What `platform.platform()` says, without the kernel's release, which may name who built it.

    >>> system_alone("Linux-6.1.0-me-x86_64-with-glibc2.36"), system_alone("macOS-15.1-arm64-arm-64bit")
    ('Linux-x86_64-with-glibc2.36', 'macOS-arm64-arm-64bit')
    """
    return re.sub(r"^(\w+)-.*?-(x86_64|aarch64|arm64|AMD64)\b", r"\1-\2", platform)


def _path(text: str) -> PurePath | None:
    """The path that a whole text is; a text of several words may begin with one."""
    if " /" not in text:
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(text).is_absolute() and kind(text).name:
                return kind(text)
    return None


def _last(found: re.Match[str]) -> str:
    return found["address"] or f"…/{found['name']}"


def _word(word: str) -> str:
    flag, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    if value.startswith(("{", "[")):
        try:
            return flag + equals + dump_line(without_folders(parse(value, ".yaml")))
        except ValueError:  # of its author's own
            pass
    return f"{flag}{equals}{without_folders(value)}"


def _quoted(word: str) -> str:
    plain = word.replace("…", "")
    return word if shlex.quote(plain) == plain else shlex.quote(word)
