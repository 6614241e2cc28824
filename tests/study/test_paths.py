"""`~` and variables in every path of a study."""

from pathlib import Path

import pytest
import yaml

import tutelage
from tutelage.cli import main
from tutelage.data import ClassFolders, DepthLabel, Folders, Label, Mnist, NYUv2, Omniglot
from tutelage.errors import UserError
from tutelage.study import load_study, read_values
from tutelage.values.paths import expand_paths


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    (tmp_path / "data/nyuv2").mkdir(parents=True)
    monkeypatch.delenv("NOWHERE", raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_in_a_file_and_in_flags(home: Path, tmp_path: Path) -> None:
    values = {**read_values("rooms-tiny"), "methods": ["uniform"], "out": "~/runs"}
    values["data"] = {"class_path": "tutelage.data.NYUv2", "init_args": {"root": "${DATA}/nyuv2"}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values))
    study = load_study(tmp_path / "study.yaml")
    assert study.folder == home / "runs"
    assert study.values["data"]["init_args"]["root"] == str(tmp_path / "data/nyuv2")
    assert study.objects.data.root == tmp_path / "data/nyuv2"
    study = load_study(tmp_path / "study.yaml", ["--out", "$DATA/runs", "--data.root=~"])
    assert (study.folder, study.values["data"]["init_args"]["root"]) == (tmp_path / "data/runs", str(home))


def test_in_python(home: Path) -> None:
    roots = [
        Folders("~/data", {"depth": Label("depth", DepthLabel(0.001))}).root,
        NYUv2("~/data").root,
        Mnist("~/data").root,
        Omniglot("~/data").root,
        ClassFolders("~/data").root,
    ]
    assert roots == [home / "data"] * len(roots)
    study = tutelage.Study("rooms-tiny", out="~/runs")
    assert study.folder == home / "runs"
    assert study.save("~/study.yaml") == home / "study.yaml"
    assert (home / "study.yaml").exists()
    with pytest.raises(UserError, match=f"^{home}/runs: expected the folder of a study"):
        tutelage.Results("~/runs")
    with pytest.raises(UserError, match=f"^{home}/a.safetensors: expected"):
        tutelage.load("~/a.safetensors")


def test_in_arguments_of_the_command(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "~/runs"]) == 2
    assert f"tutelage: {home}/runs: expected" in capsys.readouterr().err
    assert main(["prepare", "cityscapes", "~/download", "~/out"]) == 2
    assert str(home / "download") in capsys.readouterr().err


@pytest.mark.parametrize("text", ["$NOWHERE/x", "${NOWHERE}/x", "$NOWHERE"])
def test_a_variable_that_is_not_set(home: Path, text: str) -> None:
    line = "rooms-tiny: out: expected the variable NOWHERE to be set, found none; set it, or write the whole path"
    with pytest.raises(UserError, match=line):
        load_study("rooms-tiny", ["--out", text])
    with pytest.raises(UserError, match=r"^data.root: expected the variable NOWHERE"):
        expand_paths({"data": {"root": text}})


def test_what_is_no_path_stays_as_it_is(home: Path) -> None:
    values = {"name": "a$DATA b", "about": "$DATA/x and ~/y", "number": 3, "list": ["~x y", "1~/2"], "none": None}
    assert expand_paths(values) == values
    with pytest.raises(UserError, match=r"^out: expected the home folder of a user, found none of `nobody_here`"):
        expand_paths({"out": "~nobody_here/x"})
