"""What cannot be used of a folder is left out with a reason, and what is no data set is refused in one line."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.propose.pictures import write

from tutelage import study
from tutelage.cli import main
from tutelage.data import CodedLabel
from tutelage.values import read_draft


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tutelage.propose.training.find_weights", lambda: None)
    monkeypatch.chdir(tmp_path)


def init(root: str, capsys: pytest.CaptureFixture[str]) -> tuple[dict, str]:
    """The source's arguments, and what was printed."""
    assert main(["init", root, "--out", "study.yaml", "--overwrite"]) == 0
    return yaml.safe_load(Path("study.yaml").read_text())["data"]["init_args"], capsys.readouterr().out


def stems(split: str) -> list[str]:
    samples = study.complete(read_draft("study.yaml")).objects.data.split(split)
    return [Path(samples.where(i)).name for i in range(len(samples))]


def test_what_is_no_image_and_no_label_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write(tmp_path / "data", {"a b/#.jpg": "photo", "m/#.png": "classes"})
    write(root, {"m/1#.png": "classes"})  # without an image
    write(root, {"m/#.png": "small"}, [3])
    (root / "a b/5.jpg").write_bytes((root / "a b/5.jpg").read_bytes()[:700])
    (root / "m/6.png").write_text("no picture")
    for name in ("a b/Thumbs.db", "a b/.hidden.jpg", ".git/x.png", "notes.txt", "all.csv", "a b/x\x1b[2J*.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
    args, out = init("data", capsys)
    for line in (
        "7 images: a b, colour images, 32x40",
        "segmentation: m, 3 classes, 0 to 2; 2 images without",
        "left out: 9 of 15 files m/*: there is no image of this name (5.png, 10.png, 11.png, ...)",
        "left out: 1 of 15 files m/*: 3.png is 16x20, its image 32x40; resize one of them",
        "left out: 1 file .csv (all.csv): tables are not read: write a .txt of numbers per image",
        "left out: 1 file notes.txt: none has the name of an image",
        "left out: 1 file with *, {split} or a control character in its name (x\\x1b[2J*.png)",
        "left out: a b/5.jpg: expected a readable .jpg file, found image file is truncated",
        "left out: m/6.png: expected a readable .png file, found cannot identify image file",
    ):
        assert line in out
    assert "\x1b" not in out
    assert "Thumbs" not in out
    assert args["exclude"] == ["a b/5.jpg", "m/6.png", "a b/x\x1b[2J*.png", "m/3.png"]
    assert args["partial"] is True
    assert len(stems("train") + stems("test")) == 7


def test_pictures_that_are_no_images_are_not_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "data", {"#.jpg": "photo", "#_mask.png": "mask", "#_overlay.jpg": "photo"}, range(12))
    args, out = init("data", capsys)
    assert "left out: 12 files *_overlay: a second picture of the same things" in out
    assert args["exclude"] == ["*_overlay"]
    assert sorted(stems("train") + stems("test")) == sorted(f"{i}.jpg" for i in range(12))


def test_a_test_folder_without_labels_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write(tmp_path / "data", {"train/x/#.png": "photo", "train/y/#.png": "mask", "test/x/#.png": "photo"})
    args, out = init("data", capsys)
    assert "left out: 8 images of test: they have no segmentation" in out
    assert (args["train"], args["test"]) == ("train", "train")
    assert (len(stems("train")), len(stems("test"))) == (6, 2)
    write(root, {"val/x/#.png": "photo", "val/y/#.png": "mask"}, range(3))
    args, out = init("data", capsys)
    assert (args["test"], len(stems("test"))) == ("val", 3)


def test_test_and_val_without_train_are_names_like_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "data", {f"{x}/{y}/#.png": z for x in ("val", "test") for y, z in (("x", "photo"), ("y", "mask"))})
    args, _ = init("data", capsys)
    assert (args["image"], args["train"], args["test"]) == ("*/x/*", "", "")
    assert len(stems("train") + stems("test")) == 16


def test_both_parts_have_every_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write(tmp_path / "data", {"x/#.jpg": "photo", "y/#.png": "mask"}, range(30))
    write(root, {"depth/#.png": "depth"}, [4, 9])
    write(root, {"normals/#.png": "normals"}, [4])
    args, out = init("data", capsys)
    assert "left out: 1 file 4.png: one to train on and one to test are needed" in out
    assert args["holdout_seed"] > 0
    source = study.complete(read_draft("study.yaml")).objects.data
    for split in ("train", "test"):
        samples = source.split(split)
        assert sum("depth" in samples.tasks(i) for i in range(len(samples))) == 1


def test_guesses_are_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write(tmp_path / "data", {"x/#.jpg": "photo", "levels/#.png": "levels"})
    Image.new("L", (40, 32), 100).save(root / "levels/0.png")
    args, out = init("data", capsys)
    text = Path("study.yaml").read_text()
    assert "segmentation, a guess: classes are numbered in the order" in out
    assert "# a guess, please check: classes are numbered in the order" in text
    kind = args["labels"]["segmentation"]["kind"]
    assert kind["init_args"]["codes"] == [[0], [100], [200]]
    source = study.complete(read_draft("study.yaml")).objects.data
    assert isinstance(source.modalities["segmentation"], CodedLabel)


WRONG = {
    # files -> what the line says
    "nothing": ({}, r"data: expected images and their labels, found no files; see docs/own.md"),
    "texts": ({"a/#.txt": "class"}, r"found none, but 8 \.txt; see"),
    "tables": ({"a/#.csv": "class"}, r"found none, but 8 files \.csv \(0\.csv, 1\.csv, \.\.\.\): tables are not read"),
    "files of many kinds": (
        {f"a/#{suffix}": "class" for suffix in (".json", ".xml", ".zip", ".mp4", ".yaml")},
        r"found none, but 8 files \.json .*: not read: where they hold boxes .*\.mp4.*; 2 more kinds of files; see",
    ),
    "images alone": (
        {"a/#.jpg": "photo"},
        r"labels beside the 8 images \(a/\*\), found none with their names",
    ),
    "labels alone": ({"a/#.png": "classes"}, r"found 8 labels and no images"),
    "no name in common": (
        {"a/#.jpg": "photo", "b/x#y.png": "classes", "b/z.png": "classes"},
        r"beside the 8 images \(a/\*\), found 9 files b/\*: none has the name of an image",
    ),
    "images of train in another folder than those of val": (
        {
            "train/a/below/#.jpg": "photo",
            "train/b/#.png": "classes",
            "val/a/1#.jpg": "photo",
            "val/b/1#.png": "classes",
        },
        r"expected labels beside the 16 images \(a/\*\), found .*b/\*: there is no image of this name.*; "
        r"see docs/own.md",
    ),
    "splits in names": (
        {"train_#.png": "photo", "train_#_mask.png": "mask", "Test0#.png": "photo", "Test0#_mask.png": "mask"},
        r"told apart by names alone \(Test00.png, train_0.png\); move the files of each into a folder train, test or",
    ),
    "boxes": (
        {"images/train/#.png": "photo", "labels/train/#.txt": "boxes"},
        r"8 files labels/\*: boxes \(lines of a class and four numbers from 0 to 1\), which no task of tutelage learns",
    ),
    "numbers of instances": (
        {"images/#.png": "photo", "ids/#.png": "ids"},
        r"8 files ids/\*: whole numbers that are neither classes nor depth for sure \(each file has a few values",
    ),
    "labels of other sizes": (
        {"a/#.jpg": "photo", "b/#.png": "small"},
        r"found 8 files b/\*: 0.png is 16x20, its image 32x40; resize one of them",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_data_set_is_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files, message = WRONG[name]
    (tmp_path / "data").mkdir()
    write(tmp_path / "data", files)
    assert main(["init", "data", "--out", "study.yaml"]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert error.count("\n") == 1
    assert not Path("study.yaml").exists()


def test_a_name_that_no_study_can_hold_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "data", {"a/#.jpg": "photo", "b/#.png": "classes"})
    os.rename(tmp_path / "data/b/3.png", os.fsencode(tmp_path / "data/b") + b"/\xff.png")
    assert main(["init", "data", "--out", "study.yaml"]) == 2
    assert "expected a name in UTF-8, found other bytes in it; rename the file" in capsys.readouterr().err
    assert not Path("study.yaml").exists()


def test_one_image_is_none_to_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "data", {"#.jpg": "photo", "#_mask.png": "mask"}, range(1))
    assert main(["init", "data"]) == 2
    assert "expected two images or more, one to train on and one to test, found 1" in capsys.readouterr().err
    write(tmp_path / "data", {"#.jpg": "photo", "#_mask.png": "mask"}, range(2))
    init("data", capsys)
    assert (len(stems("train")), len(stems("test"))) == (1, 1)


def test_nothing_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "my data", {"#.jpg": "photo", "#_mask.png": "mask"}, range(4))
    assert main(["init", "my data"]) == 0
    assert yaml.safe_load(Path("my-data.yaml").read_text())["study"] == "my-data"
    capsys.readouterr()
    for words, message in (
        (["my data"], "my-data.yaml: expected no such file yet, found one; give another --out, or --overwrite"),
        (["my data", "--out", "x.txt"], "--out: expected a file that ends with .yaml, found x.txt; rename it"),
        (["my-data.yaml"], "my-data.yaml: expected a folder of images and labels, found a file; give another one"),
    ):
        assert main(["init", *words]) == 2
        assert message in capsys.readouterr().err


def test_names_that_look_like_numbers_stay_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "2011", {"08/#.jpg": "photo", "1e5/#.png": "classes"})
    init("2011", capsys)
    values = read_draft("study.yaml").values
    source = values["data"]["init_args"]
    assert (values["study"], source["image"], source["labels"]["segmentation"]["folder"]) == ("2011", "08", "1e5")


def test_a_folder_beside_the_classes_is_no_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A study was written that could not be run."""
    write(tmp_path / "data", {"cats/#.png": "photo", "dogs/#.png": "photo", "masks/#.png": "mask"}, range(12))
    for name in ("study.yaml", "data.json", "figures/0.png"):  # of runs that were made there before
        (tmp_path / "data/runs/mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/runs/mine" / name).write_text("")
    _, out = init("data", capsys)
    assert "category: 2 classes, which are the folders cats, dogs" in out
    assert "runs" not in out
    assert len(stems("train") + stems("test")) == 24


def test_minus_1_in_sparse_class_numbers_is_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`CodedLabel` takes pictures' values, which are not negative."""
    root = write(tmp_path / "data", {"image/#.png": "photo"}, range(12))
    (root / "label").mkdir()
    for i in range(12):
        np.save(root / f"label/{i}.npy", np.array([-1, 0, 50, 100] * 320, np.int64).reshape(32, 40))
    init("data", capsys)
    assert main(["run", "study.yaml", "--dry-run", "--epochs", "1"]) == 0
