"""A study that is laid over another: `base`."""

from pathlib import Path

import pytest
import yaml

from tutelage.errors import UserError
from tutelage.values import read_draft, read_values


def write(path: Path, **values: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_study_takes_what_it_does_not_say_from_a_preset(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.yaml", study="mine", base="rooms-tiny", train={"epochs": 7}, methods=["uniform"])
    mine, below = read_values(file), read_values("rooms-tiny")
    assert mine == {
        **below,
        "study": "mine",
        "methods": ["uniform"],
        "train": {**below["train"], "epochs": 7},
    }
    draft = read_draft(file, ["--epochs", "3"])
    assert draft.laid["train"]["epochs"] == 3
    assert "base" not in draft.values


def test_a_class_in_place_of_another_takes_none_of_its_arguments(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.yaml", base="rooms-tiny", net={"class_path": "tutelage.nets.MTAN"})
    assert read_values(file)["net"] == {"class_path": "tutelage.nets.MTAN"}


def test_a_file_is_found_beside_the_one_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "studies/common/first.yaml", base="rooms-tiny", study="first", seeds=[5])
    second = write(tmp_path / "studies/second.yaml", base="common/first.yaml", study="second")
    monkeypatch.chdir(tmp_path)
    values = read_values(Path("studies/second.yaml"))
    assert (values["study"], values["seeds"], values["tasks"]) == ("second", [5], read_values("rooms-tiny")["tasks"])
    assert read_values(second) == values


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("rooms-tyni", "mine.yaml: base: rooms-tyni: expected a YAML file or one of the presets .*`rooms-tiny`"),
        ("none.yaml", "mine.yaml: base: .*none.yaml: expected a YAML file of a study, found none"),
        (["rooms"], r"mine.yaml: base: expected the name of a preset or a YAML file, found \['rooms'\]; correct it"),
        ("mine.yaml", "mine.yaml: base: expected another study, found `mine.yaml`, whose base is this one; change it"),
        ("../{folder}/mine.yaml", "mine.yaml: base: expected another study, found `.*`, whose base is this one"),
        ("other.yaml", "mine.yaml: base: .*other.yaml: base: expected another study, found `mine.yaml`"),
        ("bad.yaml", "mine.yaml: base: .*bad.yaml: expected YAML, found"),
    ],
)
def test_a_wrong_base_is_one_line(base: object, message: str, tmp_path: Path) -> None:
    base = base.format(folder=tmp_path.name) if isinstance(base, str) else base
    file = write(tmp_path / "mine.yaml", base=base)
    write(tmp_path / "other.yaml", base="mine.yaml")
    (tmp_path / "bad.yaml").write_text("study: [")
    with pytest.raises(UserError, match=message) as error:
        read_values(file)
    assert "\n" not in str(error.value)
