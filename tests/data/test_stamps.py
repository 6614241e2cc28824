"""A sample's stamp changes with the sample's files, and with no other file."""

import os
from collections.abc import Callable
from pathlib import Path

import datasets
import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from tests.data.digit_files import classes, pixels, write_mnist, write_omniglot, write_raw_mnist, write_svhn, write_usps
from tests.data.test_folders import numbers, write

from tutelage.data import (
    Cityscapes,
    ClassesLabel,
    ClassFolders,
    ClassLabel,
    Column,
    DataSource,
    DepthLabel,
    Folders,
    FromDataset,
    HideLabels,
    HoldOut,
    HuggingFace,
    Label,
    Mix,
    Mnist,
    MultiMnist,
    NYUv2,
    Omniglot,
    OverlaidDigits,
    Rooms,
    Svhn,
    Usps,
)
from tutelage.data.base import Split

SPLITS: tuple[Split, ...] = ("train", "test")


def stamps(source: DataSource) -> dict[tuple[str, str], str | None]:
    """(split, where) -> stamp of all samples."""
    found = {}
    for split in SPLITS:
        samples = source.split(split)
        found |= {(split, samples.where(i)): samples.stamp(i) for i in range(len(samples))}
    return found


def age(root: Path) -> None:
    """Give all files one and the same time of change, as those of an unpacked archive have."""
    for path in root.rglob("*"):
        os.utime(path, ns=(10**18, 10**18))


def edit(path: Path) -> None:
    """Change a file in place: neither its name nor its size changes."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def nyuv2(root: Path) -> Path:
    write(root / "train", numbers(6))
    write(root / "test", numbers(4))
    return root


def cityscapes(root: Path) -> Path:
    for split in SPLITS:
        for name in ("image", "label7", "label", "depth"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for stem in ("a", "b", "c"):
                pixels = np.zeros((8, 12, 3) if name == "image" else (8, 12), np.uint8)
                Image.fromarray(pixels).save(folder / f"{stem}.png")
    return root


def class_folders(root: Path) -> Path:
    for split in SPLITS:
        for name in ("cat", "dog"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for stem in ("a", "b"):
                Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(folder / f"{stem}.png")
    return root


def omniglot(root: Path) -> Path:
    return write_omniglot(root)


LABELS = {"segmentation": Label("label", ClassesLabel()), "depth": Label("depth", DepthLabel())}
OF_FILES: dict[str, tuple[Callable[[Path], Path], Callable[[Path], DataSource], str, str]] = {
    "Folders": (nyuv2, lambda root: Folders(root, LABELS), "train/depth/3.png", "train/normal/3.png"),
    "Folders, cached": (nyuv2, lambda root: Folders(root, LABELS, cache=True), "test/label/1.png", "test/note.txt"),
    "NYUv2": (nyuv2, NYUv2, "train/normal/0.png", "train/image/.hidden.png"),
    "HoldOut": (nyuv2, lambda root: HoldOut(NYUv2(root)), "train/label/2.png", "test/label/2.png"),
    "HideLabels": (
        nyuv2,
        lambda root: HideLabels(NYUv2(root), {"depth": 0.5}),
        "train/label/2.png",
        "train/note.txt",
    ),
    "Mix": (
        nyuv2,
        lambda root: Mix({"a": NYUv2(root), "b": OverlaidDigits(4, 2)}),
        "test/depth/1.png",
        "test/note.txt",
    ),
    "Cityscapes": (cityscapes, lambda root: Cityscapes(root, classes=7), "train/label7/b.png", "train/label/b.png"),
    "ClassFolders": (class_folders, ClassFolders, "train/dog/b.png", "train/dog/.hidden.png"),
    "Omniglot": (
        omniglot,
        Omniglot,
        "omniglot-py/images_background/Greek/character02/0002_03.png",
        "omniglot-py/images_background/Greek/readme.txt",
    ),
}


@pytest.mark.parametrize("name", OF_FILES)
def test_an_edited_file_changes_the_stamp_of_its_sample_and_another_file_does_not(name: str, tmp_path: Path) -> None:
    make, source, label, other = OF_FILES[name]
    root = make(tmp_path / "data")
    for path in (root / label, root / other):
        if not path.exists():
            path.write_bytes(b"other")
    age(root)
    before = stamps(source(root))
    assert None not in before.values()
    assert len(set(before.values())) == len(before)  # samples of both splits have names and times in common
    edit(root / other)
    assert stamps(source(root)) == before
    edit(root / label)
    after = stamps(source(root))
    [changed] = [key for key in before if before[key] != after[key]]
    parts = Path(label).parts
    assert (Path(label).stem, parts[0]) == (Path(changed[1]).stem, Path(changed[1]).relative_to(root).parts[0])


@pytest.mark.parametrize("name", OF_FILES)
def test_a_file_that_is_replaced_by_one_of_the_same_size_and_time_has_another_stamp(name: str, tmp_path: Path) -> None:
    """Archives and copies may give all files one time: shards of the former labels were trained on."""
    make, source, label, _ = OF_FILES[name]
    root = make(tmp_path / "data")
    age(root)
    before = stamps(source(root))
    assert stamps(source(root)) == before
    edit(root / label)
    os.utime(root / label, ns=(10**18, 10**18))
    after = stamps(source(root))
    assert sum(before[key] != after[key] for key in before) == 1


def test_a_missing_file_has_no_stamp_and_a_missing_label_is_none(tmp_path: Path) -> None:
    root = nyuv2(tmp_path)
    source = Folders(root, LABELS, partial=True)
    samples = source.split("train")
    before = samples.stamp(1)
    (root / "train/depth/1.png").unlink()
    assert samples.stamp(1) is None  # it was listed
    again = Folders(root, LABELS, partial=True).split("train").stamp(1)
    assert again is not None
    assert again != before


def test_the_number_of_a_class_belongs_to_the_stamp(tmp_path: Path) -> None:
    root = class_folders(tmp_path)
    before = stamps(ClassFolders(root))
    for split in SPLITS:
        (root / split / "bird").mkdir()
        Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(root / split / "bird/a.png")
    after = stamps(ClassFolders(root))
    assert len(after) == len(before) + 2
    assert all(after[key] != stamp for key, stamp in before.items())  # every number is one higher


ARCHIVES: dict[str, tuple[Callable[[Path], Path], Callable[[Path], DataSource]]] = {
    "Mnist": (write_mnist, Mnist),
    "Mnist, raw": (write_raw_mnist, Mnist),
    "Usps": (write_usps, Usps),
    "Svhn": (write_svhn, Svhn),
}


def change_class_of_the_first(root: Path) -> None:
    """Write the only archive in `root` again, with another class for training image 0; its size stays."""
    y = classes(40)
    y[0] = (y[0] + 1) % 10
    if (root / "mnist.npz").exists():
        with np.load(root / "mnist.npz") as file:
            np.savez(root / "mnist.npz", **{**dict(file), "y_train": y.astype(np.uint8)})
    elif (root / "MNIST").exists():
        path = root / "MNIST/raw/train-labels-idx1-ubyte"
        path.write_bytes(path.read_bytes()[:8] + y.astype(np.uint8).tobytes())
    elif (root / "usps.h5").exists():
        with h5py.File(root / "usps.h5", "r+") as file:
            file["train/target"][:] = y
    else:
        classes_of_svhn = np.where(y == 0, 10, y).astype(np.uint8)[:, None]
        savemat(root / "train_32x32.mat", {"X": pixels(32, 32, 3, 40), "y": classes_of_svhn})


@pytest.mark.parametrize("name", ARCHIVES)
def test_of_an_archive_a_changed_class_changes_one_stamp_and_touching_it_none(name: str, tmp_path: Path) -> None:
    make, source = ARCHIVES[name]
    root = make(tmp_path)
    before = stamps(source(root))
    assert None not in before.values()
    age(root)
    assert stamps(source(root)) == before
    change_class_of_the_first(root)
    after = stamps(source(root))
    assert [where.rsplit(" ", 1)[1] for (_, where), stamp in before.items() if after[_, where] != stamp] == ["0"]


def test_overlaid_digits_have_the_stamps_of_what_they_show(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    for source in (MultiMnist(tmp_path, 40, 20), OverlaidDigits(40, 20)):
        samples = source.split("train")
        images = {samples.stamp(i): samples[i]["image"].numpy().tobytes() for i in range(len(samples))}
        assert len(images) > 30
        assert len(images) == len(set(images.values()))  # the same pair, drawn twice, has one stamp
    assert stamps(MultiMnist(tmp_path, 12, 6)) == stamps(MultiMnist(tmp_path, 12, 6))


def test_rooms_have_the_stamps_of_their_arguments() -> None:
    before = stamps(Rooms(6, 3, (24, 32)))
    assert len(set(before.values())) == 9
    assert before.items() < stamps(Rooms(8, 3, (24, 32))).items()  # more rooms do not change the others
    for other in (Rooms(6, 3, (32, 32)), Rooms(6, 3, (24, 32), seed=1), Rooms(6, 3, (24, 32), holes=False)):
        assert not set(before.values()) & set(stamps(other).values())


def pictures(root: Path, *, inside: bool) -> HuggingFace:
    """Rows whose pictures are files in `root`, or are saved inside the tables there."""
    if not root.exists():
        root.mkdir()
        for i in range(10):
            Image.fromarray(np.full((8, 12, 3), i, np.uint8)).save(root / f"{i}.png")
    rows = datasets.Dataset.from_dict(
        {"image": [str(root / f"{i}.png") for i in range(10)], "kind": [i % 2 for i in range(10)]}
    ).cast_column("image", datasets.Image())
    if not inside:
        return HuggingFace(rows, {"animal": Column("kind", ClassLabel())})
    if not (root / "saved").exists():
        rows.save_to_disk(root / "saved")
    return HuggingFace(root / "saved", {"animal": Column("kind", ClassLabel())})


def test_rows_whose_pictures_are_files_have_the_stamps_of_these(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    before = stamps(pictures(root, inside=False))
    assert None not in before.values()
    assert len(set(before.values())) == 10
    assert stamps(pictures(root, inside=False)) == before
    (root / "3.png").write_bytes((root / "4.png").read_bytes())
    after = stamps(pictures(root, inside=False))
    assert sum(after[key] != stamp for key, stamp in before.items()) == 1


def test_rows_in_tables_have_the_stamps_of_the_tables(tmp_path: Path) -> None:
    datasets.disable_progress_bars()
    root = tmp_path / "pictures"
    before = stamps(pictures(root, inside=True))
    assert None not in before.values()
    (root / "3.png").write_bytes((root / "4.png").read_bytes())  # the tables have it inside
    assert stamps(pictures(root, inside=True)) == before
    [table] = (root / "saved").glob("*.arrow")
    table.write_bytes(table.read_bytes().replace(b"IEND", b"IENE", 1))  # in one picture
    after = stamps(pictures(root, inside=True))
    assert all(after[key] != stamp for key, stamp in before.items())


def test_nothing_is_known_of_a_dataset_of_the_users_own() -> None:
    rows = [{"image": np.zeros((8, 12, 3), np.uint8), "labels": {"animal": 1}}] * 10
    source = FromDataset(rows, {"animal": ClassLabel()})  # a list is map-style, too
    assert set(stamps(source).values()) == {None}
