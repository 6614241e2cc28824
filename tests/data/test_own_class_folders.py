"""Data of one's own: a folder for every class."""

import os
import shutil
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.source_tester import SourceTester

from tutelage.data import ClassFolders, DataSource
from tutelage.tasks import Classification

CLASSES = ["cat", "dog", "zebu 10", "zebu 9"]  # as `ImageFolder` sorts them


def write(root: Path, count: int = 3, size: tuple[int, int] = (48, 64)) -> Path:
    """`count` images of each class; all but the first of a class are .jpg."""
    for number, name in enumerate(reversed(CLASSES)):
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = np.random.default_rng([number, i]).integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.{'jpg' if i else 'png'}")
    (root / "cat/.hidden.png").write_bytes(b"")
    (root / "cat/notes.txt").write_text("of the photographer")
    return root


class TestHeldOut(SourceTester):
    tasks = {"class": Classification(4)}

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        write(tmp_path / "train")
        return ClassFolders(tmp_path)


class TestWithVal(SourceTester):
    size = (32, 32)
    tasks = {"class": Classification(4)}

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        write(tmp_path / "train", 2)
        write(tmp_path / "val", 1, (20, 30))
        return ClassFolders(tmp_path, size=self.size, cache=True)


def test_classes_and_images_are_those_of_image_folder(tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")  # an extra: its ImageFolder is the oracle
    write(tmp_path / "train", 2)
    write(tmp_path / "val", 2)
    (tmp_path / "train/cat/.hidden.png").unlink()  # `ImageFolder` takes it for an image
    source, other = ClassFolders(tmp_path), torchvision.datasets.ImageFolder(tmp_path / "train")
    assert source.classes == other.classes == CLASSES
    train = source.split("train")
    assert len(train) == len(other) == 8
    for index, (picture, number) in enumerate(other):
        sample = train[index]
        assert torch.equal(sample["image"], torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255)
        assert int(sample["labels"]["class"]) == number
        assert train.where(index) == other.samples[index][0]
    assert train.tasks(0) == ["class"]


def test_a_class_may_be_missing_in_val_and_the_task_has_a_name(tmp_path: Path) -> None:
    write(tmp_path / "train", 1)
    write(tmp_path / "val", 1)
    shutil.rmtree(tmp_path / "val/cat")
    source = ClassFolders(tmp_path, "animal")
    source.check(["animal"])
    assert [int(source.split("test")[i]["labels"]["animal"]) for i in range(3)] == [1, 2, 3]


def test_the_fingerprint_sees_files_and_not_where_they_are(tmp_path: Path) -> None:
    write(tmp_path / "a/train")
    before = ClassFolders(tmp_path / "a").fingerprint()
    (tmp_path / "a").rename(tmp_path / "b")
    assert ClassFolders(tmp_path / "b").fingerprint() == before
    assert ClassFolders(tmp_path / "b", size=(8, 8)).fingerprint() != before
    path = tmp_path / "b/train/cat/0.png"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    changed = ClassFolders(tmp_path / "b").fingerprint()
    assert changed != before
    path.rename(tmp_path / "b/train/dog/9.png")
    assert ClassFolders(tmp_path / "b").fingerprint() not in (before, changed)


def wrong(root: Path, what: str) -> None:
    write(root / "train", 2)
    write(root / "val", 1)
    if what == "no train":
        shutil.rmtree(root / "train")
    elif what == "images without classes":
        shutil.rmtree(root / "train")
        (root / "train").mkdir()
        Image.new("RGB", (8, 8)).save(root / "train/0.png")
    elif what == "an empty class":
        for path in (root / "train/dog").iterdir():
            path.unlink()
    elif what == "another class":
        (root / "val/dog").rename(root / "val/wolf")
    elif what == "a class twice":
        (root / "train/zebu 9").rename(root / f"train/{normalize('NFC', 'é')}")
        shutil.copytree(root / "train/dog", root / f"train/{normalize('NFD', 'é')}")
    elif what == "a damaged image":
        (root / "train/cat/0.png").write_bytes(b"no picture")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no train", r": expected a folder for every class, found none; see docs/own.md"),
        ("images without classes", r"train: expected a folder for every class, found none"),
        ("an empty class", r"train.dog: expected pictures \(.png, .jpg, ...\) or .npy files, found none"),
        ("another class", r"val.wolf: expected a class that .*train has, too \(cat, dog, .*\), found another; remove"),
        ("a class twice", r"expected one folder for each class, found another .* \('e\\u0301', '\\xe9'\); put them"),
        ("a damaged image", r"train.cat.0\.png: expected a readable .png file, found"),
    ],
)
def test_a_wrong_folder_is_one_line(tmp_path: Path, what: str, message: str) -> None:
    wrong(tmp_path, what)
    with pytest.raises(ValueError, match=message) as error:
        ClassFolders(tmp_path).check(["class"])
    assert "\n" not in str(error.value)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data.root: expected a folder with train/CLASS/..., found no folder .*nowh"):
        ClassFolders(tmp_path / "nowhere").check(["class"])


def test_accents_may_be_written_in_two_ways(tmp_path: Path) -> None:
    """A Mac writes the accent as a letter of its own."""
    for split, form in (("train", "NFC"), ("val", "NFD")):
        write(tmp_path / split, 1)
        (tmp_path / split / "dog").rename(tmp_path / split / normalize(form, "é"))
    source = ClassFolders(tmp_path)
    source.check(["class"])
    numbers = [int(source.split("test")[i]["labels"]["class"]) for i in range(4)]
    assert sorted(numbers) == [0, 1, 2, 3]


def test_classes_whose_names_differ_in_case_alone_are_doubted(tmp_path: Path) -> None:
    write(tmp_path / "train", 2)
    shutil.copytree(tmp_path / "train/cat", tmp_path / "train/Cat ")
    (doubt,) = ClassFolders(tmp_path).doubts()
    assert "expected classes of different names, found `cat` beside `Cat `" in doubt.text


def test_runs_beside_the_classes_are_none(tmp_path: Path) -> None:
    """`tutelage init .` makes a study whose runs go to `runs` in the same folder."""
    write(tmp_path)
    for name in ("study.yaml", "data.json"):
        (tmp_path / "runs/mine").mkdir(parents=True, exist_ok=True)
        (tmp_path / "runs/mine" / name).write_text("")
    source = ClassFolders(tmp_path, exclude=["zebu 9/*"])
    source.check(["class"])
    assert source.classes == ["cat", "dog", "zebu 10"]  # nor is a folder of which nothing is read


def test_a_folder_whose_name_is_not_utf_8_is_one_line(tmp_path: Path) -> None:
    write(tmp_path / "train", 1)
    (tmp_path / "train/dog").rename(os.fsdecode(os.fsencode(tmp_path / "train") + b"/caf\xe9"))
    with pytest.raises(ValueError, match=r"caf.*: expected a name in UTF-8, found other bytes in it; rename"):
        ClassFolders(tmp_path).check(["class"])
