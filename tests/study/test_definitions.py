"""Definitions of methods are parsed by themselves, ours once."""

import copy
import sys
from types import ModuleType
from typing import Any

import pytest
from tests.study.conftest import tiny

from tutelage.study.config import definitions
from tutelage.study.config.build import study_parser
from tutelage.study.config.definitions import parse_method
from tutelage.values import read_draft


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was parsed."""
    definitions._parse_once.cache_clear()
    seen, parse = [], definitions._parse
    monkeypatch.setattr(definitions, "_parse", lambda named: seen.append(copy.deepcopy(named)) or parse(named))
    return seen


def test_a_definition_by_itself_is_parsed_as_in_a_study() -> None:
    values = read_draft("rooms-tiny").values
    whole = study_parser(values).parse_args([])
    for name, definition in values["method"].items():
        assert parse_method(name, definition)[1] == whole.method[name]


def test_ours_are_parsed_once_and_nobody_changes_them_for_others(parsed: list[Any]) -> None:
    definition = {"balancer": {"class_path": "tutelage.balance.Uniform"}, "about": "A sentence. Another."}
    plain, found = parse_method("mine", definition)
    plain["balancer"]["init_args"]["weights"] = found.balancer.init_args.weights = {"depth": 3.0}
    again, other = parse_method("mine", copy.deepcopy(definition))
    assert again["balancer"]["init_args"].get("weights") is other.balancer.init_args.weights is None
    assert len(parsed) == 1
    parse_method("mine", {**definition, "lr": 0.1})
    parse_method("yours", definition)
    assert len(parsed) == 3


def test_a_class_of_the_user_may_change_between_two_studies(parsed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from tutelage.balance import Uniform\nclass Mine(Uniform):\n    def __init__(self, {}: int = 1): ..."
    definition = {"balancer": {"class_path": "a_notebook.Mine"}}
    for argument in ("one", "two"):
        module = ModuleType("a_notebook")
        monkeypatch.setitem(sys.modules, "a_notebook", module)
        exec(source.format(argument), module.__dict__)
        plain, _ = parse_method("mine", definition)
        assert plain["balancer"]["init_args"] == {argument: 1}
    assert len(parsed) == 2


def test_a_mistake_is_one_every_time() -> None:
    for _ in range(2):
        with pytest.raises(Exception, match="wieghts"):
            parse_method("mine", {"balancer": {"class_path": "tutelage.balance.Uniform", "init_args": {"wieghts": 1}}})


def test_a_flag_for_one_method_leaves_the_others_as_they_are(parsed: list[Any], tmp_path: Any) -> None:
    alone = tiny(tmp_path, "--methods", "uniform,kd4mtl").values["method"]
    flagged = tiny(tmp_path, "--methods", "uniform,kd4mtl", "--method.kd4mtl.lr", "0.5").values["method"]
    assert flagged["uniform"] == alone["uniform"]
    assert flagged["kd4mtl"] == alone["kd4mtl"] | {"lr": 0.5, "values": "changed"}
    assert [list(named) for named in parsed] == [["uniform"], ["kd4mtl"]]
