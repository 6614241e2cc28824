"""Flags of a study: short names become keys, lists need no brackets, and what they say is laid over its values."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tutelage.errors import UserError, nearest
from tutelage.values.plain import merge
from tutelage.values.schema.below import SHORT, enter, flag_names
from tutelage.values.schema.keys import study_keys, train_keys
from tutelage.values.schema.kinds import ANYTHING, Declaration, Kind, declaration
from tutelage.values.schema.source import SourceError
from tutelage.values.yaml_text import load_yaml

_IMPLIED = ("init_args", "class_path")  # may be left out of a flag
_NULL = ("null", "None", "~")

Flags = Sequence[tuple[str, str | None]]  # as written, with the value or None


def pair_up(words: Sequence[str]) -> list[tuple[str, str | None]]:
    """Words of the command line as flags and values: `--key value` or `--key=value`; None: the value is missing.

    Raises:
        UserError: a word is neither.
    """
    pairs: list[tuple[str, str | None]] = []
    rest = list(words)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if not flag.startswith("--"):
            raise UserError(f"expected flags of the study such as --epochs 2, found `{flag}`")
        if equals:
            pairs.append((flag, value))
        else:
            pairs.append((flag, rest.pop(0) if rest and not rest[0].startswith("--") else None))
    return pairs


def check_flags(words: Sequence[str], others: Sequence[str] = ()) -> None:
    """Check the flags of a study that is not known.

    Raises:
        UserError: no study has such a key.
    """
    for flag, _ in pair_up(words):
        Place(flag, {}, others)


def lay_over(values: Mapping[str, Any], flags: Flags, others: Sequence[str] = ()) -> tuple[list[str], dict[str, Any]]:
    """Flags with whole keys, as jsonargparse reads them, and the values of a study with the flags laid over them.

    Args:
        values: of the study.
        flags: in their order.
        others: flags of the command, without dashes, which a mistake may have meant.

    Raises:
        UserError: there is no such key, or a flag has no value.
    """
    laid: dict[str, Any] = copy.deepcopy(dict(values))
    result: list[str] = []
    for written, value in flags:
        place = Place(written, laid, others)
        if value is None:
            raise UserError(f"{written}: expected a value, found none")
        result += [place.flag, place.lay(value)]
    return result, laid


class Place:
    """Where in the values of a study a flag belongs.

    Args:
        written: the flag as it was given.
        values: of the study; mappings on the way to the place are made.
        others: flags of the command, for suggestions.

    Attributes:
        flag: with its whole key.
        kind: what may stand there.

    Raises:
        UserError: there is no such key.
    """

    def __init__(self, written: str, values: dict[str, Any], others: Sequence[str] = ()) -> None:
        self.written, self.others = written, others
        words = _whole_key(written[2:].removesuffix("+"))
        self.flag = f"--{'.'.join(words)}{'+' if written.endswith('+') else ''}"
        self.words = [word for word in words if word not in _IMPLIED]
        self.kind: Kind = ANYTHING
        self._node: dict[str, Any] | None = None  # the mapping that holds the value; None: it is not known
        self._walk(values)

    def _walk(self, node: dict[str, Any]) -> None:
        declared: Declaration | None = study_keys()
        kind, default = ANYTHING, None
        for i, word in enumerate(self.words):
            if declared is not None:
                if word not in declared.arguments:
                    if declared.open:
                        return
                    raise UserError(self._unknown(i, declared.arguments))
                kind, default = declared.arguments[word].kind, declared.arguments[word].default_path
            if i == len(self.words) - 1:
                self.kind, self._node = kind, node
                return
            below = enter(node, word, kind, default)
            if below is None:
                if kind.only_scalars or kind.only_lists:
                    raise UserError(f"{self.written}: expected a value at `{word}`, found a key below it")
                return
            node, declared, kind, default = *below, kind.values or ANYTHING, None
            named = declared is None and kind.builds and kind.config is None  # tasks, for example
            if named and self.words[i + 1] not in node and self.words[i + 2 :]:
                raise UserError(self._unknown(i + 1, node))

    def _unknown(self, i: int, names: Mapping[str, Any]) -> str:
        """The message where word `i` is none of the names that may stand there."""
        near = nearest(self.words[i], names if i else [*flag_names(), *self.others])
        advice = "`tutelage run STUDY --help` lists them"
        if near is not None:
            advice = f"did you mean `--{'.'.join([*self.words[:i], near, *self.words[i + 1 :]])}`?"
        return f"expected a flag of the study, found `{self.written}`; {advice}"

    def lay(self, given: str) -> str:
        """Lay a value over the study's, and return it as jsonargparse reads it: lists in brackets."""
        if self.kind.item is not None and not given.startswith(("[", "{")) and given not in _NULL:
            given = f"[{given}]" if "," in given or self.kind.only_lists else given
        if self._node is not None and not self.flag.endswith("+"):
            self._set(self._node, self.words[-1], given)
        return given

    def _set(self, node: dict[str, Any], word: str, given: str) -> None:
        try:
            value = given if self.kind.only_scalars and self.kind.scalars & {"str", "Path"} else load_yaml(given)
        except yaml.YAMLError:
            value = given
        if given in _NULL and not (given == "~" and "Path" in self.kind.scalars):  # there it is the home folder
            value = None
        before = node.get(word)
        if self.kind.builds and isinstance(value, str) and isinstance(before, dict) and "." in value:
            value = {"class_path": value, "init_args": _fitting(value, before, self.kind.skip)}
        node[word] = merge(before, value) if self.kind.config is not None or self.kind.builds else value


def _whole_key(key: str) -> list[str]:
    """The key of a flag, word by word, with what a short name leaves out."""
    first, *rest = key.split(".")
    train = train_keys().arguments
    if first == "train" and rest:
        return ["train", rest[0].replace("-", "_"), *rest[1:]]
    if (name := first.replace("-", "_")) in train:
        return ["train", name, *rest]
    return SHORT[first].split(".") if first in SHORT and not rest else [first, *rest]


def _fitting(path: str, before: Mapping[str, Any], skip: int) -> dict[str, Any]:
    """The arguments of the class before that this one takes, too: jsonargparse keeps them."""
    arguments = before.get("init_args") or {}
    try:
        declared = declaration(path).without_first(skip)
    except SourceError:
        return {}
    return {name: value for name, value in arguments.items() if name in declared.arguments}
