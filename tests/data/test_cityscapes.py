from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.source_tester import SourceTester

from tutelage.data import Augment, Cityscapes, DataSource, InverseDepthLabel


def write_mtan(root: Path, count: int, names: tuple[str, ...] = ("label",)) -> None:
    """MTAN's files: images in 0..1, labels with -1, inverse depths [H, W, 1] with 0 where there is none."""
    for folder in (root / "image", root / "depth", *(root / name for name in names)):
        folder.mkdir(parents=True)
    for i in range(count):
        rng = np.random.default_rng(i)
        inverse = rng.uniform(0.001, 0.49, (32, 64, 1))
        inverse[:3] = 0
        np.save(root / f"image/{i}.npy", rng.uniform(0, 1, (32, 64, 3)))
        np.save(root / f"depth/{i}.npy", inverse)
        for name in names:
            np.save(root / f"{name}/{i}.npy", rng.integers(-1, 19 if name == "label_19" else 7, (32, 64)).astype(float))


class TestSmallMtan(SourceTester):
    """128x256: one folder `label` with 7 classes."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        write_mtan(tmp_path / "train", 3)
        write_mtan(tmp_path / "val", 2)
        return Cityscapes(tmp_path, self.size, classes=7)


class TestLargeMtan(SourceTester):
    """256x512: a folder for every number of classes; without a val/."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        write_mtan(tmp_path / "train", 10, ("label_2", "label_7", "label_19"))
        return Cityscapes(tmp_path, self.size, classes=7)


def test_classes_choose_the_folder(tmp_path: Path) -> None:
    write_mtan(tmp_path / "train", 10, ("label_2", "label_7", "label_19"))
    for classes, folder in ((7, "label_7"), (19, "label_19")):
        source = Cityscapes(tmp_path, (32, 64), classes=classes)
        source.check(["segmentation", "depth"])
        found = source.split("train")[0]["labels"]["segmentation"].numpy()
        stem = Path(source.split("train").where(0)).stem
        assert np.array_equal(found, np.load(tmp_path / f"train/{folder}/{stem}.npy"))
    (tmp_path / "train/label").mkdir()
    (tmp_path / "train/label7").mkdir()
    assert Cityscapes(tmp_path, classes=7).labels["segmentation"].folder == "label7"


def test_mtans_7_classes_are_not_taken_for_19(tmp_path: Path) -> None:
    write_mtan(tmp_path / "train", 10)
    with pytest.raises(ValueError, match=r"data\.classes: expected 7 for .*label, MTAN's .*, found 19; set it to 7"):
        Cityscapes(tmp_path).check(["segmentation"])
    Cityscapes(tmp_path).check(["depth"])
    Cityscapes(tmp_path, classes=7).check(["segmentation"])
    with pytest.raises(ValueError, match=r"Cityscapes\.classes: expected one of 7, 19, found `2`"):
        Cityscapes(tmp_path, classes=2)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.root: expected a folder with train.image, found no folder"):
        Cityscapes(tmp_path / "nowhere", classes=7).check(["depth"])


def test_inverse_depth(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 65535], [13107, 1]], np.uint16)).save(tmp_path / "a.png")
    expected = torch.tensor([[[0.0, 1.0], [0.2, 1 / 65535]]])
    torch.testing.assert_close(InverseDepthLabel().decode(tmp_path / "a.png"), expected)
    np.save(tmp_path / "a.npy", np.array([[0.25, 0.0], [np.nan, np.inf]]))
    assert torch.equal(InverseDepthLabel().decode(tmp_path / "a.npy"), torch.tensor([[[0.25, 0.0], [0.0, 0.0]]]))
    x = torch.tensor([[[0.0, 0.3]]])
    assert torch.equal(InverseDepthLabel().zoom(x, 1.5), x * 1.5)  # nearer


def test_a_view_enlarged_is_nearer(tmp_path: Path) -> None:
    write_mtan(tmp_path / "train", 10)
    source = Cityscapes(tmp_path, (32, 64), classes=7)
    sample = source.split("train")[0]
    view = Augment(scales=(2.0,), flip=0.0)(sample, source.modalities, torch.Generator().manual_seed(0))
    values = set((sample["labels"]["depth"] * 2).unique().tolist())
    assert set(view["labels"]["depth"].unique().tolist()) <= values
