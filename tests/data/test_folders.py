import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.source_tester import SourceTester

from tutelage.data import ClassesLabel, DataSource, Folders, Label, NormalsLabel, NYUv2

SIZE = (48, 64)


def write(root: Path, stems: list[str], npy: bool = False, size: tuple[int, int] = (60, 80)) -> Path:
    """NYU-v2 as pictures, or as MTAN's arrays."""
    for stem in stems:
        rng = np.random.default_rng(abs(hash(stem)) % 2**32 if not stem.isdigit() else int(stem))
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        label = rng.integers(0, 13, size, dtype=np.uint8)
        depth = rng.integers(1, 256, size, dtype=np.uint8)
        normal = rng.integers(1, 256, (*size, 3), dtype=np.uint8)
        label[:5], depth[:, :5], normal[-5:] = 255, 0, 0
        arrays = {"image": image, "label": label, "depth": depth, "normal": normal}
        if npy:
            none = (normal == 0).all(-1, keepdims=True)
            arrays = {
                "image": image / 255,
                "label": np.where(label == 255, -1.0, label),
                "depth": depth[..., None] / 25.5,
                "normal": np.where(none, 0, normal / 127.5 - 1),
            }
        for name, array in arrays.items():
            folder = root / name
            folder.mkdir(parents=True, exist_ok=True)
            if npy:
                np.save(folder / f"{stem}.npy", array)
            else:
                Image.fromarray(array).save(folder / f"{stem}.png")
    return root


def numbers(n: int) -> list[str]:
    return [str(i) for i in range(n)]


class TestPictures(SourceTester):
    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        write(tmp_path / "train", numbers(10))
        return NYUv2(tmp_path, size=self.size)


class TestArrays(SourceTester):
    """MTAN's preprocessing, with its own val/, which is the split `test`."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        write(tmp_path / "train", numbers(3), npy=True)
        write(tmp_path / "val", numbers(2), npy=True)
        return NYUv2(tmp_path, size=self.size, cache=True)


class TestOwnSize(SourceTester):
    size = (60, 80)

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        write(tmp_path / "train", numbers(10))
        labels = {"segmentation": Label("label", ClassesLabel()), "normals": Label("normal", NormalsLabel())}
        return Folders(tmp_path, labels)


def test_pictures_and_arrays_are_the_same_data(tmp_path: Path) -> None:
    write(tmp_path / "a/train", numbers(3))
    write(tmp_path / "a/val", numbers(1))
    write(tmp_path / "b/train", numbers(3), npy=True)
    write(tmp_path / "b/val", numbers(1), npy=True)
    a, b = (NYUv2(tmp_path / name, size=SIZE).split("train")[2] for name in "ab")
    torch.testing.assert_close(a["image"], b["image"])
    assert torch.equal(a["labels"]["segmentation"], b["labels"]["segmentation"])
    for t in ("depth", "normals"):
        torch.testing.assert_close(a["labels"][t], b["labels"][t])


def test_a_fixed_fifth_is_held_out(tmp_path: Path) -> None:
    write(tmp_path / "train", numbers(20), size=(4, 4))
    source = NYUv2(tmp_path, size=(4, 4))
    train, val = source.split("train").stems, source.split("test").stems
    assert (len(train), len(val)) == (16, 4)
    assert sorted(train + val, key=int) == numbers(20)
    assert train == sorted(train, key=int)  # 2 before 10
    assert NYUv2(tmp_path, size=(8, 8)).split("test").stems == val
    assert NYUv2(tmp_path, holdout_seed=1).split("test").stems != val
    assert len(NYUv2(tmp_path, holdout=0.5).split("test").stems) == 10
    for path in (tmp_path / "train").glob(f"*/{train[0]}.png"):
        path.unlink()  # another image gone: who is held out hardly changes
    assert len(set(NYUv2(tmp_path).split("test").stems) & set(val)) >= 3


def test_a_sample_may_lack_a_label_and_a_label_its_image(tmp_path: Path) -> None:
    write(tmp_path / "train", numbers(3))
    write(tmp_path / "val", numbers(1))
    (tmp_path / "train/depth/1.png").unlink()
    (tmp_path / "train/image/2.png").unlink()
    source = NYUv2(tmp_path, size=SIZE, partial=True)
    source.check(["depth"])
    NYUv2(tmp_path).check(["normals"])  # what another task lacks is no matter, nor is a label without an image
    with pytest.raises(ValueError, match=r"train.depth: expected a file for each of the 2 images of train, found 1"):
        NYUv2(tmp_path).check(["depth"])
    assert source.fingerprint() == NYUv2(tmp_path, size=SIZE).fingerprint()
    assert [set(sample["labels"]) for sample in (source.split("train")[i] for i in range(2))] == [
        {"segmentation", "depth", "normals"},
        {"segmentation", "normals"},
    ]
    assert len(source.split("train")) == 2
    (tmp_path / "train/depth/0.png").unlink()
    with pytest.raises(ValueError, match="found none in common"):  # one label at least, even so
        NYUv2(tmp_path, partial=True).check(["depth"])


def test_a_sample_says_which_files_it_comes_from(tmp_path: Path) -> None:
    write(tmp_path / "train", numbers(10))
    for cache in (False, True):
        samples = NYUv2(tmp_path, cache=cache).split("test")
        assert samples.where(1) == str(tmp_path / "train/image/6.png")
        assert samples.where(1, "segmentation") == str(tmp_path / "train/label/6.png")


def test_the_fingerprint_sees_files_and_not_where_they_are(tmp_path: Path) -> None:
    write(tmp_path / "a/train", numbers(6))
    before = NYUv2(tmp_path / "a").fingerprint()
    os.rename(tmp_path / "a", tmp_path / "b")
    assert NYUv2(tmp_path / "b").fingerprint() == before
    assert NYUv2(tmp_path / "b", size=(8, 8)).fingerprint() != before
    path = tmp_path / "b/train/label/3.png"
    before = NYUv2(tmp_path / "b").fingerprint()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)  # of the same size
    assert NYUv2(tmp_path / "b").fingerprint() != before
    before = NYUv2(tmp_path / "b").fingerprint()
    (tmp_path / "b/train/depth/3.png").unlink()
    assert NYUv2(tmp_path / "b").fingerprint() != before


def wrong(root: Path, what: str) -> None:
    write(root / "train", numbers(10))
    if what == "no folder of a label":
        for path in (root / "train/depth").iterdir():
            path.unlink()
        (root / "train/depth").rmdir()
    elif what == "an empty folder":
        for path in (root / "train/depth").iterdir():
            path.unlink()
    elif what == "two files of one stem":
        np.save(root / "train/depth/3.npy", np.ones((60, 80)))
    elif what == "nothing in common":
        for path in list((root / "train/depth").iterdir()):
            path.rename(path.with_name("x" + path.name))
    elif what == "some are missing":
        for stem in ("1", "2", "4", "5"):
            (root / f"train/depth/{stem}.png").unlink()
    elif what == "one is missing":
        (root / "train/depth/1.png").unlink()
    elif what == "one of the held out":
        (root / "train/normal/0.png").unlink()
    elif what == "another size":
        for path in (root / "train/depth").iterdir():
            Image.fromarray(np.ones((30, 40), np.uint8)).save(path)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no folder of a label", r"train.depth: expected a folder, found none"),
        ("an empty folder", r"train.depth: expected pictures \(.png, .jpg, ...\) or .npy files, found none"),
        ("two files of one stem", r"3\.png: expected one file with this stem, found 3\.npy, too"),
        (
            "nothing in common",
            r"depth: expected .* of train \(1, \.\.\.\), found none in common \(x0, \.\.\.\); rename",
        ),
        (
            "some are missing",
            r"train/depth: expected a file for each of the 8 images of train, found 4; missing are 1, 2, 4, \.\.\.; "
            "add them, or set data.init_args.partial: true",
        ),
        ("one is missing", r"train.depth: .* 8 images of train, found 7; missing are 1; add"),
        ("one of the held out", r"train.normal: expected .* the 2 images of test, found 1; missing are 0;"),
        ("another size", r"\.png: expected the size of its image, 60x80, found 30x40"),
    ],
)
def test_a_wrong_folder_is_one_line(tmp_path: Path, what: str, message: str) -> None:
    wrong(tmp_path, what)
    source = NYUv2(tmp_path, size=SIZE)

    def use() -> None:
        source.check(["segmentation", "depth", "normals"])
        source.split("train")[0]

    with pytest.raises(ValueError, match=message) as error:
        use()
    assert "\n" not in str(error.value)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data.root: expected a folder with train.image, found no folder .*nowhere"):
        NYUv2(tmp_path / "nowhere").check(["depth"])


@pytest.mark.parametrize(("key", "value"), [("holdout", 0.0), ("holdout", 1.0), ("size", (0, 4))])
def test_wrong_arguments(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"data.{key}: expected"):
        NYUv2(Path(), **{key: value})


def test_real_nyuv2() -> None:
    if "TUTELAGE_DATA" not in os.environ:
        pytest.skip("set TUTELAGE_DATA to a folder with nyuv2/train to test with real images")
    source = NYUv2(Path(os.environ["TUTELAGE_DATA"]) / "nyuv2", size=(72, 96))
    source.check(["segmentation", "depth", "normals"])
    assert (len(source.split("train")), len(source.split("test"))) == (636, 159)
    for index in (0, 77, 158):
        labels = source.split("test")[index]["labels"]
        label, depth, normals = labels["segmentation"], labels["depth"], labels["normals"]
        assert int(label.min()) >= -1
        assert int(label.max()) <= 12
        assert 0.5 < float(depth[depth > 0].median()) < 8
        known = normals.norm(dim=0) > 0
        assert known.double().mean() > 0.7
        assert float(normals[2][known].mean()) > 0.3  # surfaces face the viewer
        # The floor's normal is up and the ceiling's down, where they are seen.
        if int((label == 4).sum()) > 500:
            assert float(normals[1][(label == 4) & known].median()) > 0.6


def test_a_text_beside_the_images_is_none_of_them(tmp_path: Path) -> None:
    write(tmp_path / "train", ["1", "2", "3", "4", "5"])
    (tmp_path / "train/image/1.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "train/image/readme.txt").write_text("from a camera\n")
    source = NYUv2(tmp_path)
    source.check(["segmentation", "depth", "normals"])
    assert len(source.split("train")) + len(source.split("test")) == 5


@pytest.mark.parametrize("name", ["test", "val"])
def test_the_images_that_are_read_once_are_in_test_or_val(name: str, tmp_path: Path) -> None:
    write(tmp_path / "train", numbers(3), size=(4, 4))
    write(tmp_path / name, numbers(2), size=(4, 4))
    source = NYUv2(tmp_path, size=(4, 4))
    source.check(source.modalities)
    assert [Path(source.split("test").where(i)).parts[-3] for i in range(2)] == [name, name]
    assert len(source.split("train")) == 3
    (tmp_path / ("val" if name == "test" else "test")).mkdir()
    with pytest.raises(ValueError, match=r": expected one of the folders test and val, .*, found both; rename or "):
        NYUv2(tmp_path).check(source.modalities)
