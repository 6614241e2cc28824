"""Images to evaluate on in a folder, or a split, of another name than `test` and `val` are never left out silently."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tutelage.data import ClassesLabel, ClassFolders, ClassLabel, Folders, HuggingFace, Label
from tutelage.data.base import DataSource
from tutelage.data.hugging_face import Column
from tutelage.errors import UserError


def folders(root: Path, train: str, test: str, names: tuple[str, ...] = ("image", "label")) -> None:
    for split, count in ((train, 5), (test, 2)):
        for name in names:
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                Image.fromarray(np.full((4, 4), i, np.uint8)).save(root / split / name / f"{i}.png")


def sources(root: Path, **splits: str) -> list[DataSource]:
    return [Folders(root, {"x": Label("label", ClassesLabel())}, **splits), ClassFolders(root, **splits)]


@pytest.mark.parametrize("name", ["validation", "valid", "Testing", "dev", "TEST"])
@pytest.mark.parametrize("kind", [0, 1])
def test_a_folder_that_may_be_test_is_named(name: str, kind: int, tmp_path: Path) -> None:
    folders(tmp_path, "train", name)
    (doubt,) = sources(tmp_path)[kind].doubts()
    assert f"found `{name}` beside train, which is not read: a part of train is held out" in doubt.text
    assert doubt.text.endswith(f"set data.test: {name}")
    named = sources(tmp_path, test=name)[kind]
    assert not named.doubts()
    assert len(named.split("test")) == (2 if kind == 0 else 4)
    assert not sources(tmp_path, test="train")[kind].doubts()  # the user wants a part of train


@pytest.mark.parametrize("name", ["test", "val"])
def test_a_folder_that_is_read_is_no_doubt(name: str, tmp_path: Path) -> None:
    folders(tmp_path, "train", name)
    for source in sources(tmp_path):
        assert not source.doubts()


@pytest.mark.parametrize("kind", [0, 1])
def test_two_folders_of_other_names_are_no_classes(kind: int, tmp_path: Path) -> None:
    folders(tmp_path, "Training", "Testing")
    line = "expected the splits in .*, found `Training` and `Testing`; set data.train: Training and data.test: Testing"
    with pytest.raises(UserError, match=line):
        sources(tmp_path)[kind].check(["x" if kind == 0 else "class"])
    sources(tmp_path, train="Training", test="Testing")[kind].check(["x" if kind == 0 else "class"])


def test_patterns_have_their_splits_elsewhere(tmp_path: Path) -> None:
    folders(tmp_path / "image", "train", "validation", ("",))
    folders(tmp_path / "label", "train", "validation", ("",))
    source = Folders(tmp_path, {"x": Label("label/{split}", ClassesLabel())}, image="image/{split}")
    (doubt,) = source.doubts()
    assert "set data.test: validation" in doubt.text


def test_a_split_of_hugging_face_is_named() -> None:
    datasets = pytest.importorskip("datasets", reason="the package datasets is an extra")
    rows = {"image": [np.zeros((4, 4, 3), np.uint8).tolist()] * 4, "y": [0, 1, 0, 1]}
    data: Any = datasets.DatasetDict({name: datasets.Dataset.from_dict(rows) for name in ("train", "validation")})
    (doubt,) = HuggingFace(data, {"y": Column("y", ClassLabel())}).doubts()
    assert "found `validation` beside train, which is not read" in doubt.text
    assert not HuggingFace(data, {"y": Column("y", ClassLabel())}, test="validation").doubts()
    assert not HuggingFace(data["train"], {"y": Column("y", ClassLabel())}).doubts()
