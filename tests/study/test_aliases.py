"""Old names in YAML keep working, and one line says what to write."""

from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest
import yaml

from tutelage.study import load_study, read_values
from tutelage.values.aliases import ARGUMENTS, CLASSES


@pytest.mark.parametrize("path", [*CLASSES.values(), *ARGUMENTS])
def test_every_new_name_is_there(path: str) -> None:
    module, _, name = path.rpartition(".")
    parameters = signature(getattr(import_module(module), name)).parameters
    assert set(ARGUMENTS.get(path, {}).values()) <= set(parameters)


@pytest.mark.parametrize("old", CLASSES)
def test_no_old_name_is_a_class_again(old: str) -> None:
    module, _, name = old.rpartition(".")
    assert not hasattr(import_module(module), name)


def test_an_old_study_is_read_with_its_values(tmp_path: Path) -> None:
    values = read_values("rooms-tiny")
    arguments = values["data"]["init_args"]
    arguments["val"] = arguments.pop("test") + 1
    method = {"balancer": {"class_path": "tutelage.balance.Losses", "init_args": {"method": "DWA"}}}
    values |= {"methods": ["old"], "method": {"old": method}}
    file = tmp_path / "old.yaml"
    file.write_text(yaml.safe_dump(values))
    study = load_study(file)
    assert study.values["data"]["init_args"]["test"] == arguments["val"]
    assert study.values["method"]["old"]["balancer"]["class_path"] == "tutelage.balance.Scalarizer"
    renamed = [note.removeprefix("deprecated: ").partition(";")[0] for note in study.notes]
    assert renamed == [
        "`tutelage.data.Rooms(val)` is now `tutelage.data.Rooms(test)`",
        "`tutelage.balance.Losses` is now `tutelage.balance.Scalarizer`",
    ]


def test_old_names_in_overlays_and_flags(tmp_path: Path) -> None:
    file = tmp_path / "overlay.yaml"
    file.write_text(
        "method: {uniform: {balancer: {class_path: tutelage.balance.Gradients, init_args: {method: MGDA}}}}"
    )
    flags = ["--with", str(file), "--methods", "uniform", "--data.val", "7", "--net", "tutelage.nets.SegNet"]
    study = load_study("rooms-tiny", flags)
    assert study.values["data"]["init_args"]["test"] == 7
    assert study.values["method"]["uniform"]["balancer"]["class_path"] == "tutelage.balance.Aggregator"
    assert len(study.notes) == 2


def test_new_names_say_nothing() -> None:
    assert load_study("rooms-tiny").notes == []
