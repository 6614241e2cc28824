"""Every rule of values/messages.py has an input for which jsonargparse says what the rule looks for.

Most of these mistakes are found before, without PyTorch, where the source of the classes can be read (`values/schema`).

If a test fails after an update of jsonargparse, its wording has changed: correct the rule.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.wrong import base

from tutelage.errors import UserError
from tutelage.study import complete
from tutelage.values import Draft
from tutelage.values.messages import RULES, rephrase
from tutelage.values.methods import definitions

DEPTH = {"class_path": "tutelage.tasks.Depth"}
SEGNET = {"class_path": "tutelage.nets.SegNet"}
SUCH = "a class_path such as tutelage.nets.SegNet"
HELP = "`tutelage run STUDY --help` lists them"


@dataclass
class Case:
    """A wrong study or flag.

    Attributes:
        line: what the user reads, without the name of the file.
        rules: the names of the rules that match, in their order.
        flags: of the command.
        keys: top-level keys of the file with a wrong value; None: the key is left out.
    """

    line: str
    rules: list[str]
    flags: list[str] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)


def train(**values: Any) -> dict[str, Any]:
    return {"train": {**base()["train"], **values}}


def data(class_path: str, **arguments: Any) -> dict[str, Any]:
    return {"data": {"class_path": class_path, "init_args": arguments}}


CASES = {
    "unknown key": Case(
        f"expected a known key, found `epocs`; {HELP}",
        ["unknown key"],
        keys={"epocs": 3},
    ),
    "unknown key of train": Case(
        f"train: expected a known key, found `epocs`; {HELP}",
        ["unknown key of a group"],
        keys=train(epocs=3),
    ),
    "unknown argument of a network": Case(
        f"net: expected a known key, found `depth`; {HELP}",
        ["dump of all values", "key", "factory", "unknown key"],
        keys={"net": {**SEGNET, "init_args": {"depth": 3}}},
    ),
    "unknown key of a method": Case(
        f"method: expected a known key, found `balancr`; {HELP}",
        ["key", "class that a key implies", "unknown key"],
        keys={"method": {"uniform": {"balancr": 3}}},
    ),
    "no data": Case(
        "data: expected a value, found none; give it in the file",
        ["required key"],
        keys={"data": None},
    ),
    "no root": Case(
        "data.root: expected a value for tutelage.data.NYUv2, found none; give it in the file or as --data.root",
        ["key", "class", "required argument of a class"],
        keys=data("tutelage.data.NYUv2"),
    ),
    "no match": Case(
        "method: distiller: match: expected a value, found none; give it in the file",
        ["key", "factory", "union", "class that a key implies", "optional", "value of a union", "required key"],
        keys={
            "methods": ["own"],
            "method": {"own": {"distiller": {"class_path": "tutelage.distill.FeatureDistiller"}}},
        },
    ),
    "a misspelled network": Case(
        "net: expected a class, found no `SegNett` in tutelage.nets; correct class_path",
        ["dump of all values", "key", "factory", "misspelled class"],
        keys={"net": {"class_path": "tutelage.nets.SegNett"}},
    ),
    "a module that is not there": Case(
        "net: expected a class, found no module `nowhere`; correct class_path or install it",
        ["dump of all values", "key", "factory", "no module"],
        keys={"net": {"class_path": "nowhere.Net"}},
    ),
    "a name for a class": Case(
        "data: expected a class_path such as tutelage.nets.SegNet, found `rooms`",
        ["key", "name for a class"],
        keys={"data": "rooms"},
    ),
    "a list for a class_path": Case(
        "data: expected a class_path such as tutelage.nets.SegNet, found a list",
        ["key", "class_path that is not text"],
        ["--data.class_path", "[x]"],
    ),
    "a task as data": Case(
        "data: expected a subclass of DataSource, found tutelage.tasks.Depth",
        ["key", "other class"],
        keys={"data": DEPTH},
    ),
    "a task as network": Case(
        "net: expected a subclass of MultiTaskNet, found tutelage.tasks.Depth",
        ["dump of all values", "key", "factory", "other class for a factory"],
        keys={"net": DEPTH},
    ),
    "a function as network": Case(
        "net: expected a function that returns a MultiTaskNet, found torch.nn.functional.relu",
        ["key", "factory", "other function for a factory", "value"],
        keys={"net": "torch.nn.functional.relu"},
    ),
    "a list for a task": Case(
        "tasks: expected class_path and init_args for Task, found ['x']",
        ["key", "no class", "value"],
        ["--tasks.depth", "[x]"],
    ),
    "a list for a network": Case(
        "net: expected class_path and init_args, found ['x']",
        ["key", "factory", "no class for a factory"],
        ["--net", "[x]"],
    ),
    "a network without class_path": Case(
        "net: expected class_path and init_args, found {'width': 1}",
        ["dump of all values", "key", "factory", "no class_path"],
        keys={"net": {"width": 1}},
    ),
    "a word for train": Case(
        "train: expected keys and values, found `fast`",
        ["key", "value for keys"],
        ["--train", "fast"],
    ),
    "a number for the student": Case(
        "expected keys and values, found int",
        ["value for keys of a group"],
        ["--train", "{student: 3}"],
    ),
    "an unknown flag": Case(
        f"expected flags of the study, found `--epocs 3`; {HELP}",
        ["unknown flag"],
        ["--epocs", "3"],
    ),
    "epochs in words": Case(
        "train.epochs: expected int, found many",
        ["key", "value", "type"],
        ["--train.epochs", "many"],
    ),
    "steps in words": Case(
        "train.max_steps: expected int, found few",
        ["key", "union", "optional", "value of a union", "type"],
        ["--train.max_steps", "few"],
    ),
    "a seed in words": Case(
        "seeds: expected int, found a",
        ["key", "value", "type"],
        ["--seeds", "[a]"],
    ),
    "a flip in words": Case(
        "train.augment: tutelage.data.Augment: flip: expected float, found often",
        ["key", "union", "class", "optional", "value", "value of a union, again", "type"],
        ["--train.augment", "tutelage.data.Augment", "--train.augment.flip", "often"],
    ),
    "a precision of others": Case(
        "train.precision: expected one of 'auto', '32-true', 'bf16-mixed', found fp8",
        ["key", "value", "choice"],
        ["--train.precision", "fp8"],
    ),
    "three sizes": Case(
        "data: tutelage.data.Rooms: size: expected a tuple with 2 elements, found [1, 2, 3]",
        ["key", "class", "value", "tuple"],
        ["--data.size", "[1, 2, 3]"],
    ),
    "an unknown key of a teacher": Case(
        "teachers: expected a known key, found `a`; `tutelage run STUDY --help` lists them",
        [
            "key",
            "union",
            "class",
            "unknown key",
            "value of a union, again",
            "choice",
            "path",
            "alternative",
            "keys of a teacher",
        ],
        ["--teachers", "{depth: {a: 1}}"],
    ),
    "a wrong key of a teacher": Case(
        "teachers: sees: expected one of 'own', 'all', found some",
        ["key", "union", "class", "optional", "value of a union", "choice", "path", "alternative", "keys of a teacher"],
        ["--teachers", "{depth: {sees: some}}"],
    ),
    "an unknown key of a pair of taps": Case(
        "teachers: match: expected a known key, found `tapp`; `tutelage run STUDY --help` lists them",
        [
            "key",
            "union",
            "class",
            "unknown key",
            "optional",
            "value of a union, again",
            "value of a union",
            "choice",
            "type",
            "path",
            "keys of a pair of taps",
            "alternative",
            "keys of a teacher",
        ],
        ["--teachers", "{depth: {match: {last: {tapp: x}}}}"],
    ),
    "a number for a teacher": Case(
        "teachers: expected keys of a teacher, `features`, or a file, found 3",
        ["key", "union", "no class", "value of a union", "choice", "path", "alternative", "value for a teacher"],
        ["--teachers", "{depth: 3}"],
    ),
    "an abstract task": Case(
        "tasks: expected a class that can be built, found the abstract tutelage.types.Task",
        ["key", "abstract class"],
        keys={"tasks": {"depth": {"class_path": "tutelage.types.Task"}}},
    ),
    "a number for the arguments of a class": Case(
        "tasks: tutelage.tasks.Depth: expected keys and values, found a int",
        ["key", "class", "keys of a class"],
        keys={"tasks": {"depth": {**DEPTH, "init_args": 3}}},
    ),
    "a number for a class_path": Case(
        f"net: expected {SUCH}, found a float",
        ["key", "number for a class_path"],
        keys={"net": {"class_path": 0.5}},
    ),
    "a class for the range of a search": Case(
        "method: search: expected the keys of Range, found tutelage.data.Augment",
        ["key", "union", "class that a key implies", "class for keys"],
        keys={"method": {"uniform": {"search": {"lr": {"class_path": "tutelage.data.Augment"}}}}},
    ),
}


def raw(case: Case, folder: Path) -> tuple[str, Exception]:
    """The user's line for a case, and the error of jsonargparse behind it, without the check that comes before it."""
    values = {k: v for k, v in base(**case.keys).items() if v is not None}
    values["method"] = definitions(values, values["methods"])
    with pytest.raises(UserError) as info:
        complete(Draft("a study", values, case.flags, values, []))
    assert isinstance(info.value.__cause__, Exception)
    return str(info.value).removeprefix("a study: "), info.value.__cause__


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_exactly_this_line(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    line, error = raw(case, tmp_path)
    assert line == rephrase(error)
    text = " ".join(str(error).split())
    matching = []
    for rule, (pattern, replacement) in RULES.items():
        if re.search(pattern, text):
            matching.append(rule)
        text = re.sub(pattern, replacement, text)
    assert (line, matching) == (case.line, case.rules)


def test_every_rule_has_a_case() -> None:
    assert {rule for case in CASES.values() for rule in case.rules} == {*RULES}


def test_no_line_shows_what_only_python_can_read() -> None:
    for case in CASES.values():
        assert not re.search(r"<|Namespace|NestedArg|NoneType|typing|Subtypes|functools", case.line)
