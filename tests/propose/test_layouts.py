"""Folders of any layout: what is found in them, and that the study that is written reads it."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from tests.propose.pictures import write

from tutelage import study
from tutelage.cli import main
from tutelage.data import ClassFolders, Folders
from tutelage.values import read_draft


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tutelage.propose.training.find_weights", lambda: None)
    monkeypatch.chdir(tmp_path)


def init(root: Path, file: str = "study.yaml") -> dict:
    """The values of the study that is written for a folder."""
    assert main(["init", str(root), "--out", file]) == 0
    return yaml.safe_load(Path(file).read_text())


LAYOUTS: Mapping[str, tuple[dict[str, str], str, dict[str, tuple[str, str]], tuple[int, int]]] = {
    # files -> images, task -> (files, kind), images of train and test
    "folders of any names": (
        {"My Photos/é #.JPG": "photo", "die masken/é #.png": "ignored", "Depth/é #.PNG": "depth"},
        "My Photos",
        {"segmentation": ("die masken", "ClassesLabel"), "depth": ("Depth", "DepthLabel")},
        (6, 2),
    ),
    "ends of names": (
        {"img_#.jpg": "photo", "img_#_mask.png": "mask", "img_#_depth.png": "depth"},
        "*",
        {"segmentation": ("*_mask", "MaskLabel"), "depth": ("*_depth", "DepthLabel")},
        (6, 2),
    ),
    "beginnings of names": (
        {"a/rgb_#.png": "photo", "a/depth_#.png": "depth"},
        "rgb_*",
        {"depth": ("depth_*", "DepthLabel")},
        (6, 2),
    ),
    "no border in names": (
        {"#.jpg": "photo", "#mask.png": "classes"},
        "*",
        {"segmentation": ("*mask", "ClassesLabel")},
        (6, 2),
    ),
    "suffixes of files": (
        {"#.jpg": "photo", "#.png": "mask", "#.txt": "class"},
        "*.jpg",
        {"segmentation": ("*.png", "MaskLabel"), "category": ("*", "ClassLabel")},
        (6, 2),
    ),
    "arrays and numbers": (
        {"x/#.npy": "photo", "y/#.npy": "classes", "z/#.txt": "numbers"},
        "x",
        {"segmentation": ("y", "ClassesLabel"), "numbers": ("z", "NumbersLabel")},
        (6, 2),
    ),
    "scenes, with splits": (
        {
            "Training/hall/rgb/#.png": "photo", "Training/hall/normals/#.png": "normals",
            "Training/b c/rgb/#.png": "photo", "Training/b c/normals/#.png": "normals",
            "validation/hall/rgb/#.png": "photo", "validation/hall/normals/#.png": "normals",
        },
        "*/rgb/*",
        {"normals": ("*/normals/*", "NormalsLabel")},
        (16, 8),
    ),
    "scenes of any depth": (
        {"images/a/#.png": "photo", "images/b/c/#.png": "photo", "gt/a/#.png": "classes", "gt/b/c/#.png": "classes"},
        "images/**/*",
        {"segmentation": ("gt/**/*", "ClassesLabel")},
        (13, 3),
    ),
    "two label folders of one name": (
        {"image/#.png": "photo", "objects/mask/#.png": "classes", "parts/mask/#.png": "mask"},
        "image",
        {"objects_mask": ("objects/mask", "ClassesLabel"), "parts_mask": ("parts/mask", "MaskLabel")},
        (6, 2),
    ),
    "the kinds above the splits": (
        {
            "img/train/x_#_left8bit.png": "photo", "gt/train/x_#_gt_labelIds.png": "classes",
            "gt/train/x_#_gt_instanceIds.png": "instances",
            "img/val/x_#_left8bit.png": "photo", "gt/val/x_#_gt_labelIds.png": "classes",
        },
        "img/{split}/*_left8bit",
        {"segmentation": ("gt/{split}/*_gt_labelIds", "ClassesLabel")},
        (8, 8),
    ),
    "splits in names of folders": (
        {
            "train_images/#.png": "photo", "train_masks/#.png": "mask",
            "test_images/#.png": "photo", "test_masks/#.png": "mask",
        },
        "{split}_images",
        {"segmentation": ("{split}_masks", "MaskLabel")},
        (8, 8),
    ),
    "colours, grey levels, edges": (
        {"p/#.jpg": "photo", "seg/#.png": "colours", "levels/#.png": "levels", "edges/#.png": "mask"},
        "p",
        {"seg": ("seg", "CodedLabel"), "levels": ("levels", "CodedLabel"), "edges": ("edges", "MaskLabel")},
        (6, 2),
    ),
    "grey images": (
        {"xray/#.png": "grey", "lung mask/#.png": "mask"},
        "xray",
        {"segmentation": ("lung mask", "MaskLabel")},
        (6, 2),
    ),
    "words in names": (
        {f"images/{a}_{b}_#.png": "photo" for a in ("red", "blue") for b in ("car", "bus")}
        | {f"masks/{a}_{b}_#.png": "mask" for a in ("red", "blue") for b in ("car", "bus")},
        "images",
        {"segmentation": ("masks", "MaskLabel")},
        (26, 6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_images_and_labels_are_found_and_read(name: str, tmp_path: Path) -> None:
    files, image, labels, counts = LAYOUTS[name]
    write(tmp_path / "data", files)
    values = init(tmp_path / "data")
    args = values["data"]["init_args"]
    assert args["image"] == image
    found = {t: (x["folder"], x["kind"]["class_path"].rpartition(".")[2]) for t, x in args["labels"].items()}
    assert found == labels
    objects = study.complete(read_draft("study.yaml")).objects
    source = objects.data
    assert isinstance(source, Folders)
    assert tuple(len(source.split(split)) for split in ("train", "test")) == counts
    for t, task in objects.tasks.items():
        sample = source.split("test")[0]
        assert task.validate(sample["labels"][t], sample["image"]) is None


def test_the_study_says_what_pictures_show_and_where_names_of_classes_go(tmp_path: Path) -> None:
    write(tmp_path / "data", {"a/#.png": "photo", "b/#.png": "classes", "c/#.png": "depth"})
    assert init(tmp_path / "data")["tasks"]["depth"]["init_args"] == {"range": [1.5, 4.5]}
    text = Path("study.yaml").read_text()
    assert "init_args: {classes: 3}  # with `names: [...]`, one for each class" in text
    assert "# A first look, in a folder of its own: tutelage run study.yaml --epochs 2 --out runs/look" in text


def test_every_number_belongs_to_its_image(tmp_path: Path) -> None:
    write(tmp_path / "data", {"a/#.png": "photo", "b/x#.png": "classes", "c/#_d.png": "depth"}, range(12))
    init(tmp_path / "data")
    source = study.complete(read_draft("study.yaml")).objects.data
    for split in ("train", "test"):
        samples = source.split(split)
        for i in range(len(samples)):
            names = {Path(samples.where(i, t)).stem.strip("x_d") for t in (None, "segmentation", "depth")}
            assert len(names) == 1


def test_a_folder_for_every_class(tmp_path: Path) -> None:
    write(tmp_path / "data", {f"{name}/#.jpg": "photo" for name in ("cat", "dog", "zebra 2")})
    values = init(tmp_path / "data")
    assert values["data"]["class_path"] == "tutelage.data.ClassFolders"
    assert values["tasks"]["category"]["init_args"] == {"classes": 3, "names": ["cat", "dog", "zebra 2"]}
    source = study.complete(read_draft("study.yaml")).objects.data
    assert isinstance(source, ClassFolders)
    assert [len(source.split(split)) for split in ("train", "test")] == [19, 5]
    write(tmp_path / "more", {f"train/{name}/#.jpg": "photo" for name in ("cat", "dog")})
    write(tmp_path / "more", {f"valid/{name}/#.jpg": "photo" for name in ("cat", "dog")}, range(2))
    init(tmp_path / "more", "more.yaml")
    source = study.complete(read_draft("more.yaml")).objects.data
    assert [len(source.split(split)) for split in ("train", "test")] == [16, 4]
