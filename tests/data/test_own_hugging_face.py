"""Data of one's own: Hugging Face's `datasets`."""

import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from datasets import Array3D, Dataset, DatasetDict, Features, Value
from datasets import ClassLabel as ClassColumn
from datasets import Image as ImageColumn
from PIL import Image
from tests.data.source_tester import SourceTester

from tutelage.data import (
    ClassesLabel,
    ClassLabel,
    Column,
    DataSource,
    DepthLabel,
    HuggingFace,
    NormalsLabel,
    NumbersLabel,
)

FEATURES = Features(
    {
        "photo": ImageColumn(),
        "classes": ImageColumn(),
        "metres": Array3D((1, 12, 16), "float32"),
        "facing": Array3D((3, 12, 16), "float32"),
        "kind": ClassColumn(names=["cat", "dog"]),
        "numbers": datasets.Sequence(Value("float32"), length=2),
        "caption": Value("string"),
    }
)
DENSE = {
    "segmentation": Column("classes", ClassesLabel()),
    "depth": Column("metres", DepthLabel()),
    "normals": Column("facing", NormalsLabel()),
}
WHOLE = {"animal": Column("kind", ClassLabel()), "pose": Column("numbers", NumbersLabel())}


def rows(count: int, seed: int = 0) -> Dataset:
    """`count` rows; row 1 has no class."""
    rng = np.random.default_rng(seed)
    columns = {
        "photo": [Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)) for _ in range(count)],
        "classes": [Image.fromarray(rng.integers(0, 13, (12, 16), dtype=np.uint8)) for _ in range(count)],
        "metres": [rng.uniform(1, 9, (1, 12, 16)).astype(np.float32) for _ in range(count)],
        "facing": [rng.normal(size=(3, 12, 16)).astype(np.float32) for _ in range(count)],
        "kind": [None if i == 1 else i % 2 for i in range(count)],
        "numbers": rng.normal(size=(count, 2)).astype(np.float32).tolist(),
        "caption": [f"animal {i}" for i in range(count)],
    }
    return Dataset.from_dict(columns, features=FEATURES)


@pytest.fixture
def quiet() -> None:
    datasets.disable_progress_bars()


class TestObject(SourceTester):
    size = (12, 16)

    @pytest.fixture
    def source(self) -> DataSource:
        return HuggingFace(rows(10), DENSE, image="photo")


class TestFolder(SourceTester):
    size = (8, 8)

    @pytest.fixture
    def source(self, tmp_path: Path, quiet: None) -> DataSource:
        DatasetDict({"train": rows(3), "test": rows(2, seed=1)}).save_to_disk(tmp_path / "saved")
        return HuggingFace(tmp_path / "saved", DENSE, image="photo", test="test", size=self.size)


def test_rows_are_what_they_hold() -> None:
    data = rows(6)
    source = HuggingFace(DatasetDict({"train": data, "dev": data}), {**DENSE, **WHOLE}, "photo", test="dev")
    source.check([*DENSE, *WHOLE])
    for index in range(6):
        sample, row = source.split("test")[index], data[index]
        labels = sample["labels"]
        assert torch.equal(sample["image"], torch.from_numpy(np.array(row["photo"])).permute(2, 0, 1) / 255)
        assert torch.equal(labels["segmentation"], torch.from_numpy(np.array(row["classes"])).long())
        assert torch.equal(labels["depth"], torch.tensor(row["metres"]))
        normals = torch.tensor(row["facing"])
        torch.testing.assert_close(labels["normals"], normals / normals.norm(dim=0))
        assert torch.equal(labels["pose"], torch.tensor(row["numbers"]))
        assert ("animal" in labels) is (index != 1)
        assert index == 1 or int(labels["animal"]) == index % 2


@pytest.mark.parametrize("format", ["torch", "numpy"])
def test_the_format_of_the_object_does_not_matter(format: str) -> None:
    labels = {**DENSE, "pose": WHOLE["pose"]}
    plain = HuggingFace(rows(10), labels, "photo").split("train")[2]
    other = HuggingFace(rows(10).with_format(format), labels, "photo").split("train")[2]
    assert torch.equal(plain["image"], other["image"])
    assert all(torch.equal(plain["labels"][t], other["labels"][t]) for t in labels)


def test_the_fingerprint_is_that_of_the_data_wherever_they_are(tmp_path: Path, quiet: None) -> None:
    rows(10).save_to_disk(tmp_path / "a")
    found = HuggingFace(tmp_path / "a", DENSE, "photo").fingerprint()
    (tmp_path / "a").rename(tmp_path / "b")
    assert HuggingFace(str(tmp_path / "b"), DENSE, "photo").fingerprint() == found
    assert HuggingFace(rows(10), DENSE, "photo").fingerprint() == found
    assert HuggingFace(rows(10, seed=1), DENSE, "photo").fingerprint() != found
    assert HuggingFace(rows(10), {"depth": DENSE["depth"]}, "photo").fingerprint() != found


SPLITS = DatasetDict({"train": rows(2), "test": rows(2)})
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"image": "picture"}, r"data.image: expected a column of train \(photo, classes, .*\), found `picture`"),
    ({"image": "caption"}, "data.image: expected a column of pictures.*, found text in `caption`; save what it names"),
    (
        {"labels": {"depth": Column("deep", DepthLabel())}},
        r"data.labels.depth: expected a column of train \(photo, .*\), found `deep`",
    ),
    (
        {"labels": {"depth": Column("caption", ClassLabel())}},
        r'data.labels.depth: .*, found text in `caption`; number it: class_encode_column\("caption"\)',
    ),
    (
        {"labels": {"depth": Column("numbers", ClassLabel())}},
        r"data.train\[0\], label `depth`: expected the number of a",
    ),
    ({"data": SPLITS, "train": "training"}, "data.train: expected one of the splits train, test; found `training`"),
    ({"data": SPLITS, "test": "val"}, "data.test: expected one of the splits train, test; found `val`"),
    ({"test": "test"}, "data.test: expected a DatasetDict with a split `test`, found one Dataset; leave `test` out"),
    ({"data": [1]}, "data.data: expected a datasets.Dataset or DatasetDict, or its folder, found list; give"),
    ({"data": rows(2).to_iterable_dataset()}, "data.data: expected a datasets.Dataset .*, found IterableDataset; give"),
    ({"data": "nowhere"}, "data.data: expected a folder that `save_to_disk` wrote, found FileNotFoundError in nowhere"),
    ({"holdout": 0.0}, "data.holdout: expected a part between 0 and 1"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_what_is_wrong_is_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        HuggingFace(**{"data": rows(10), "labels": DENSE, "image": "photo", **arguments}).check(["depth"])
    assert "\n" not in str(error.value)


def test_a_damaged_folder_is_one_line(tmp_path: Path, quiet: None) -> None:
    rows(4).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved/state.json").write_text("{")
    with pytest.raises(ValueError, match=r"data.data: expected a folder .*, found \w+ in .*saved: .*; write") as error:
        HuggingFace(tmp_path / "saved", DENSE, "photo").check(["depth"])
    assert "\n" not in str(error.value)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"data.data: expected the package `datasets` .*none; pip install datasets"):
        HuggingFace(tmp_path, DENSE).check(["depth"])


@pytest.mark.parametrize(("names", "found"), [(["dog", "cat"], "`cat"), (["cat", "dog", "zebu"], "no class")])
def test_numbers_mean_the_same_in_both_splits(names: list[str], found: str) -> None:
    data = DatasetDict({"train": rows(4), "test": rows(4, seed=1).cast_column("kind", ClassColumn(names=names))})
    line = rf"data.labels.animal: expected the numbers in `kind` .*, found \d for {found.strip('`')} in train and for"
    with pytest.raises(ValueError, match=line):
        HuggingFace(data, WHOLE, "photo", test="test").check(list(WHOLE))


PHOTO = [np.zeros((4, 4, 3), np.uint8)] * 2


def of(column: Any, values: list[Any], kind: Any, **columns: Any) -> HuggingFace:
    features = Features({"image": Array3D((4, 4, 3), "uint8"), "y": column, **columns})
    data = Dataset.from_dict({"image": PHOTO, "y": values}, features=features)
    return HuggingFace(data, {"t": Column("y", kind)}, holdout=0.5)


def png_of_2_bits(numbers: np.ndarray) -> bytes:
    """A grey PNG of 4 x 4 pixels of 2 bits, which Pillow reads and does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(
        bytes([0, sum(int(x) << shift for x, shift in zip(row, (6, 4, 2, 0), strict=True))]) for row in numbers
    )
    header = struct.pack(">IIBBBBB", 4, 4, 2, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_the_numbers_in_a_picture_are_those_in_its_file(tmp_path: Path) -> None:
    packed = png_of_2_bits(np.array([[0, 1, 2, 3]] * 4))
    source = of(ImageColumn(), [{"bytes": packed, "path": None}] * 2, ClassesLabel())
    assert source.split("train")[0]["labels"]["t"].tolist() == [[0, 1, 2, 3]] * 4
    (tmp_path / "a.png").write_bytes(packed)
    source = of(ImageColumn(), [{"bytes": None, "path": str(tmp_path / "a.png")}] * 2, ClassesLabel())
    assert source.split("train")[0]["labels"]["t"].tolist() == [[0, 1, 2, 3]] * 4


def test_an_array_of_bytes_is_an_image() -> None:
    source = of(ClassColumn(names=["a", "b"]), [0, 1], ClassLabel())
    assert source.split("train")[0]["image"].shape == (3, 4, 4)


@pytest.mark.parametrize("column", [Value("float32"), Value("int64")])
def test_a_null_among_numbers_is_not_known(column: Any) -> None:
    source = of(datasets.Sequence(column), [[1, None], [None, 2]], NumbersLabel())
    labels = [source.split(split)[0]["labels"]["t"] for split in ("train", "test")]
    assert all(label.isnan().sum() == 1 and label.nansum() in (1, 2) for label in labels)


@pytest.mark.parametrize("values", [[[0, 1, 1], [2, 2, 0]], [[0], [1, 2]]])
def test_lists_of_class_numbers_are_no_vectors(values: Any) -> None:
    source = of(datasets.Sequence(ClassColumn(names=["a", "b", "c"])), values, NumbersLabel())
    with pytest.raises(ValueError, match=r"data.labels.t: .* found lists of class numbers .* map each to a list of 3"):
        source.check(["t"])


def test_the_fingerprint_is_that_of_earlier_versions() -> None:
    two = datasets.Sequence(Value("float32"))
    features = Features({"image": Array3D((4, 4, 3), "float32"), "y": ClassColumn(names=["a", "b"]), "z": two})
    images = [np.full((4, 4, 3), i / 4, np.float32) for i in range(4)]
    data = Dataset.from_dict({"image": images, "y": [0, 1, 0, 1], "z": [[0.1, 0.2]] * 4}, features=features)
    labels = {"t": Column("y", ClassLabel()), "u": Column("z", NumbersLabel())}
    assert HuggingFace(data, labels, holdout=0.5).fingerprint() == "5067a02923fdb880"  # finished runs are kept


def test_splits_may_be_named_as_the_library_names_them() -> None:
    data = DatasetDict({datasets.Split.TRAIN: rows(4), datasets.Split.VALIDATION: rows(2)})
    (doubt,) = HuggingFace(data, WHOLE, image="photo").doubts()
    assert "found `validation` beside train, which is not read" in doubt.text
    named = HuggingFace(data, WHOLE, image="photo", test="validation")
    assert [len(named.split(split)) for split in ("train", "test")] == [4, 2]
