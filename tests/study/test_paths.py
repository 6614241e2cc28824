"""`~` and variables in every path of a study."""

from pathlib import Path

import pytest
import yaml

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
    assert study.objects.data.root == tmp_path / "data/nyuv2"  # type: ignore[attr-defined]  # of NYUv2
    study = load_study(tmp_path / "study.yaml", ["--out", "$DATA/runs", "--data.root=~"])
    assert (study.folder, study.values["data"]["init_args"]["root"]) == (tmp_path / "data/runs", str(home))


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
