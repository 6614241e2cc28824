"""Folders without train/, files of any names, and folders of splits of any names."""

from collections.abc import Mapping
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from tutelage.data import ClassesLabel, ClassFolders, DepthLabel, Folders, Label
from tutelage.data.patterns import Pattern


def write(root: Path, *names: str) -> Path:
    """A grey picture of 4x4 for each name, whose values are its position among them."""
    for value, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), value, np.uint8)).save(path, "PNG")
    return root


def folders(root: Path, label: str, image: str, **arguments: object) -> Folders:
    return Folders(root, {"seg": Label(label, ClassesLabel())}, image, **arguments)


def found(source: Folders) -> Mapping[str, list[tuple[str, str]]]:
    """Split -> image and label file of each sample, under the root."""
    source.check(["seg"])
    splits = {}
    for split in ("train", "test"):
        samples = source.split(split)
        pairs = [(samples.where(i), samples.where(i, "seg")) for i in range(len(samples))]
        splits[split] = [tuple(str(Path(x).relative_to(source.root)) for x in pair) for pair in pairs]
    return splits


LAYOUTS: dict[str, tuple[str, str, list[tuple[str, str]]]] = {
    # image, label, files of five samples
    "two folders": ("My Photos", "the masks", [(f"My Photos/{i}.JPG", f"the masks/{i}.png") for i in range(5)]),
    "a suffix": ("*", "*_mask", [(f"img_{i}.jpg", f"img_{i}_mask.png") for i in range(5)]),
    "a suffix in a folder": ("all", "all/*-seg", [(f"all/{i}.png", f"all/{i}-seg.png") for i in range(5)]),
    "a prefix": ("rgb_*", "label_*", [(f"rgb_{i}.png", f"label_{i}.png") for i in range(5)]),
    "suffixes of files": ("*.jpg", "*.png", [(f"{i}.jpg", f"{i}.png") for i in range(5)]),
    "scenes": ("*/rgb/*", "*/gt/*", [(f"s{i}/rgb/1.png", f"s{i}/gt/1.png") for i in range(5)]),
    "any depth": ("a/**/*", "b/**/*_gt", [(f"a/{i * 'x/'}1.png", f"b/{i * 'x/'}1_gt.png") for i in range(5)]),
    "brackets": ("[a]", "(b)+", [(f"[a]/{i}.png", f"(b)+/{i}.png") for i in range(5)]),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_all_of_a_folder_without_train_is_divided(name: str, tmp_path: Path) -> None:
    image, label, files = LAYOUTS[name]
    write(tmp_path, *(path for pair in files for path in pair), "other/1.png", "._1.png", ".cache/rgb/1.png")
    splits = found(folders(tmp_path, label, image))
    assert sorted(splits["train"] + splits["test"]) == sorted(files)
    assert len(splits["test"]) == 1
    source = folders(tmp_path, label, image)
    assert {int(x["labels"]["seg"][0, 0]) % 2 for x in (source.split("train")[i] for i in range(4))} == {1}


def test_who_is_held_out_depends_on_the_names_alone(tmp_path: Path) -> None:
    write(tmp_path / "a", *(f"train/{kind}/{i}.png" for i in range(20) for kind in ("image", "label")))
    write(tmp_path / "b", *(f"photos/{i}.png" for i in range(20)), *(f"gt/{i}_gt.png" for i in range(20)))
    a, b = folders(tmp_path / "a", "label", "image"), folders(tmp_path / "b", "gt/*_gt", "photos")
    assert a.split("test").stems == b.split("test").stems


SPLITS: dict[str, tuple[str, str, dict[str, str], str]] = {
    # image, label, arguments, names of a file of train and of test with KIND in place of the kind
    "their own names": ("image", "label", {"train": "Training", "test": "holdout"}, "Training/KIND/1 holdout/KIND/1"),
    "below the kinds": ("image/{split}", "label/{split}", {}, "image/train/1 image/val/1"),
    "in names": ("{split}_image", "{split}_label", {}, "train_image/1 test_image/1"),
    "below, with names": (
        "image/{split}/**/*",
        "label/{split}/**/*",
        {"train": "a", "test": "b"},
        "KIND/a/x/1 KIND/b/1",
    ),
}


@pytest.mark.parametrize("name", SPLITS)
def test_folders_of_splits_are_anywhere(name: str, tmp_path: Path) -> None:
    image, label, arguments, paths = SPLITS[name]
    train, test = (
        tuple(f"{path}.png".replace("KIND", kind).replace("image", kind) for kind in ("image", "label"))
        for path in paths.split()
    )
    write(tmp_path, *train, *test)
    assert found(folders(tmp_path, label, image, **arguments)) == {"train": [train], "test": [test]}


def test_a_split_that_is_named_must_be_there(tmp_path: Path) -> None:
    write(tmp_path, "train/image/1.png", "train/label/1.png")
    with pytest.raises(ValueError, match=r"holdout.image: expected a folder, found none"):
        folders(tmp_path, "label", "image", test="holdout").check(["seg"])
    with pytest.raises(ValueError, match=r"pictures: expected a folder \(or train/pictures in .*\), found none"):
        folders(tmp_path / "train", "label", "pictures").check(["seg"])


def test_excluded_files_are_not_there(tmp_path: Path) -> None:
    write(tmp_path, *(f"{kind}/{i}.png" for i in range(6) for kind in ("image", "label")))
    write(tmp_path, "image/0_drawn.png", "image/1_drawn.png")
    source = folders(tmp_path, "label", "image", exclude=["label/1.png", "image/2.png", "image/*_drawn"], partial=True)
    source.check(["seg"])
    samples = {Path(x.where(i)).stem: x.tasks(i) for x in map(source.split, ("train", "test")) for i in range(len(x))}
    assert samples == {"1": [], **{key: ["seg"] for key in "0345"}}
    assert [out.reason for out in source.left_out()] == [
        "no image has this name"
    ]  # of label/2.png, which nobody excluded
    assert source.fingerprint() != folders(tmp_path, "label", "image", partial=True).fingerprint()
    with pytest.raises(
        ValueError, match=r"data.exclude: expected a file in .*, found none named .*label.7.png; correct"
    ):
        folders(tmp_path, "label", "image", exclude=["label/7.png"]).check(["seg"])
    for outside in (str(Path(__file__)), "../other/1.png"):
        with pytest.raises(ValueError, match=r"data.exclude: expected a file in .*, found none named "):
            folders(tmp_path, "label", "image", exclude=[outside]).check(["seg"])
    with pytest.raises(ValueError, match=r"data.exclude: expected a pattern .*, found none that image/\*_drwan fits"):
        folders(tmp_path, "label", "image", exclude=["image/*_drwan"]).check(["seg"])
    with pytest.raises(ValueError, match=r"data.exclude: expected files left in .*label, found all of them excluded"):
        folders(tmp_path, "label", "image", exclude=["label/*"], partial=True).check(["seg"])


def test_an_excluded_path_may_be_written_in_any_way(tmp_path: Path) -> None:
    write(tmp_path, *(f"{kind}/{i}.png" for i in range(6) for kind in ("image", "label")))
    for text in ("image/../image/1.png", "./image//1.png", "label/../image/1.png"):
        source = folders(tmp_path, "label", "image", exclude=[text], partial=True)
        source.check(["seg"])
        assert "1" not in source.files["", "image"], text


def test_folders_are_named_from_the_root(tmp_path: Path) -> None:
    write(tmp_path, "train/image/1.png", "train/label/1.png")
    whole = str(tmp_path / "train")
    with pytest.raises(
        ValueError, match=rf"data.train: expected a folder under .*, found {whole}; write it from there"
    ):
        folders(tmp_path, "label", "image", train=whole).check(["seg"])
    with pytest.raises(ValueError, match=r"data.labels.seg.folder: expected a folder under .*, found /label; write it"):
        folders(tmp_path, "/label", "image").check(["seg"])
    with pytest.raises(ValueError, match=r"data.test: expected a folder under "):
        ClassFolders(tmp_path, test=whole).check(["class"])


def test_names_are_compared_as_they_are_read(tmp_path: Path) -> None:
    """A Mac writes the accent as a letter of its own."""
    write(tmp_path, *(normalize("NFD", f"image/é{i}.png") for i in range(5)), *(f"label/é{i}.png" for i in range(5)))
    assert sum(map(len, found(folders(tmp_path, "label", "image")).values())) == 5


def test_a_pattern_that_fits_nothing_is_one_line(tmp_path: Path) -> None:
    write(tmp_path, *(f"{i}{kind}.png" for i in range(5) for kind in ("", "_mask")))
    with pytest.raises(ValueError, match=r": expected files that \*_seg fits, found none; correct"):
        folders(tmp_path, "*_seg", "*").check(["seg"])
    write(tmp_path, "1.jpg")
    with pytest.raises(ValueError, match=r"1.png: expected one file with this stem, found 1.jpg, too; remove one"):
        folders(tmp_path, "*_mask", "*").check(["seg"])


def test_links_are_followed_once(tmp_path: Path) -> None:
    write(tmp_path, "there/1.png", "a/2.png")
    (tmp_path / "a/link").symlink_to(tmp_path / "there")
    (tmp_path / "there/back").symlink_to(tmp_path / "a")
    assert list(Pattern("a/**/*").files(tmp_path, [".png"])) == ["2", "link/1"]


def test_a_folder_for_every_class_without_train(tmp_path: Path) -> None:
    write(tmp_path, *(f"{name}/{i}.png" for name in ("cat", "dog", "test") for i in range(4)), ".git/1.png")
    write(tmp_path / "test", "cat/9.png")
    source = ClassFolders(tmp_path, exclude=["cat/3.png"])
    source.check(["class"])
    assert source.classes == ["cat", "dog"]
    assert [Path(out.folder).name for out in source.left_out()] == ["test"]  # test/0.png, ..., and not cat/3.png
    assert [len(source.split(split)) for split in ("train", "test")] == [7, 1]
    other = ClassFolders(tmp_path, train="test", test="test")
    assert other.classes == ["cat"]


def test_depth_beside_classes_is_partial(tmp_path: Path) -> None:
    write(tmp_path, *(f"{i}{kind}.png" for i in range(1, 6) for kind in ("", "_mask")), "1_depth.png")
    labels = {"seg": Label("*_mask", ClassesLabel()), "depth": Label("*_depth", DepthLabel())}
    source = Folders(tmp_path, labels, "*", partial=True)
    samples = [x.tasks(i) for x in map(source.split, ("train", "test")) for i in range(len(x))]
    assert sorted(map(len, samples)) == [1, 1, 1, 1, 2]


def test_a_star_in_the_name_of_an_excluded_file_is_no_pattern(tmp_path: Path) -> None:
    write(tmp_path, *(f"{kind}/img{i}.png" for i in range(6) for kind in ("image", "label")))
    write(tmp_path, "image/img*.png", "image/*.png")
    source = folders(tmp_path, "label", "image", exclude=["image/img*.png", "image/*.png"])
    source.check(["seg"])
    assert sum(len(source.split(split)) for split in ("train", "test")) == 6
