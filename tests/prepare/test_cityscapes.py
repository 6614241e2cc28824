import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from tests.data.source_tester import SourceTester
from tests.prepare.official import IDS, IN_7, IN_19, street, write_cityscapes

from tutelage.data import Cityscapes, DataSource
from tutelage.prepare import prepare_cityscapes
from tutelage.prepare.cityscapes import CLASSES7, CLASSES19, ids_to_classes

QUIET = Console(quiet=True)

# id, train id (255: none), category id of cityscapesScripts' labels.py, whose categories begin with 0: void.
OFFICIAL = (
    *((i, 255, 0) for i in range(7)),
    (7, 0, 1), (8, 1, 1), (9, 255, 1), (10, 255, 1),
    (11, 2, 2), (12, 3, 2), (13, 4, 2), (14, 255, 2), (15, 255, 2), (16, 255, 2),
    (17, 5, 3), (18, 255, 3), (19, 6, 3), (20, 7, 3),
    (21, 8, 4), (22, 9, 4), (23, 10, 5), (24, 11, 6), (25, 12, 6),
    (26, 13, 7), (27, 14, 7), (28, 15, 7), (29, 255, 7), (30, 255, 7), (31, 16, 7), (32, 17, 7), (33, 18, 7),
)  # fmt: skip


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    prepare_cityscapes(write_cityscapes(tmp_path / "download"), tmp_path / "out", (24, 48), 2, QUIET)
    return tmp_path / "out"


class TestPrepared(SourceTester):
    @pytest.fixture
    def source(self, prepared: Path) -> DataSource:
        return Cityscapes(prepared, self.size, classes=7)


def test_classes_as_cityscapes_scripts_have_them() -> None:
    classes, categories = ids_to_classes()
    assert len(OFFICIAL) == 34
    for number, train_id, category in OFFICIAL:
        assert classes[number] == train_id
        assert categories[number] == (255 if train_id == 255 else category - 1)
    assert (classes[34:] == 255).all()
    assert (categories[34:] == 255).all()
    assert (CLASSES19[0], CLASSES19[13], CLASSES19[18]) == ("road", "car", "bicycle")
    assert (len(CLASSES19), len(CLASSES7)) == (19, 7)


def test_values_and_axes(prepared: Path) -> None:
    for split, stems in (
        ("train", ["aachen_000000_000019", "aachen_000001_000019", "zurich_000000_000019"]),
        ("test", ["lindau_000000_000019", "lindau_000001_000019"]),
    ):
        samples = Cityscapes(prepared, (24, 48)).split(split)
        coarse = Cityscapes(prepared, (24, 48), classes=7).split(split)
        assert [Path(samples.where(i)).stem for i in range(len(samples))] == stems
        for i in range(len(samples)):
            official = street(i + (3 if split == "test" else 0))
            pixels = torch.from_numpy(official["leftImg8bit"]).permute(2, 0, 1)
            assert torch.equal((samples[i]["image"] * 255).round().byte(), pixels)
            for found, to in ((samples[i], IN_19), (coarse[i], IN_7)):
                table = np.zeros(256, np.int64)
                table[list(IDS)] = [-1 if c == 255 else c for c in to]
                assert np.array_equal(found["labels"]["segmentation"].numpy(), table[official["gtFine"]])
            inverse = samples[i]["labels"]["depth"][0].numpy()
            np.testing.assert_allclose(inverse, official["disparity"] / 65535, rtol=1e-6)
            assert (inverse[:3, :5] == 0).all()


def test_the_unit_is_one_over_1_85_metres(prepared: Path) -> None:
    disparity = (street(3)["disparity"][10, 40] - 1) / 256  # the official formula, in pixels of 2048
    metres = 0.209313 * 2262.52 / disparity
    inverse = float(Cityscapes(prepared, (24, 48)).split("test")[0]["labels"]["depth"][0, 10, 40])
    assert 1.85 / inverse == pytest.approx(metres, rel=1e-3)


def test_a_smaller_size_is_what_the_data_set_makes_of_the_whole(prepared: Path, tmp_path: Path) -> None:
    prepare_cityscapes(tmp_path / "download", tmp_path / "small", (10, 20), 1, QUIET)
    found, expected = (Cityscapes(tmp_path / name, (10, 20)).split("train")[2] for name in ("small", "out"))
    torch.testing.assert_close(found["image"], expected["image"], atol=1.01 / 255, rtol=0)
    for t in ("segmentation", "depth"):
        assert torch.equal(found["labels"][t], expected["labels"][t])


def test_the_summary(prepared: Path) -> None:
    found = json.loads((prepared / "summary.json").read_text())["splits"]
    assert [found[split]["frames"] for split in ("train", "test")] == [3, 2]
    disparity = np.stack([street(i)["disparity"] for i in (3, 4)])
    assert found["test"]["depth"]["range"] == pytest.approx(
        [disparity[disparity > 0].min() / 65535, disparity.max() / 65535], rel=1e-5
    )
    assert found["test"]["depth"]["without_label"] == pytest.approx(100 * (disparity == 0).mean(), abs=1e-3)
    ids = np.stack([street(i)["gtFine"] for i in (3, 4)])
    known = np.isin(ids, IDS[:9])
    assert found["test"]["label"]["without_label"] == pytest.approx(100 * (~known).mean(), abs=1e-3)
    assert found["test"]["label7"]["classes"]["flat"] == pytest.approx(100 * (ids[known] < 9).mean(), abs=1e-3)


def test_only_what_is_missing_is_made(prepared: Path, tmp_path: Path) -> None:
    path = prepared / "train/label7/zurich_000000_000019.png"
    before, others = path.read_bytes(), {p: p.stat().st_mtime_ns for p in prepared.rglob("aachen*.png")}
    path.unlink()
    prepare_cityscapes(tmp_path / "download", prepared, (24, 48), 1, QUIET)
    assert path.read_bytes() == before
    assert all(p.stat().st_mtime_ns == time for p, time in others.items())


def spoil(download: Path, what: str) -> None:
    stem = "zurich/zurich_000000_000019"
    disparity = download / f"disparity/train/{stem}_disparity.png"
    labels = download / f"gtFine/train/{stem}_gtFine_labelIds.png"
    if what == "no package":
        (download / "gtFine/val").rename(download / "gtFine/test")
    elif what == "a missing file":
        disparity.unlink()
    elif what == "no images":
        for path in (download / "leftImg8bit/val").rglob("*.png"):
            path.unlink()
    elif what == "half a file":
        labels.write_bytes(labels.read_bytes()[:60])
    elif what == "8 bits":
        Image.fromarray(np.ones((24, 48), np.uint8)).save(disparity)
    elif what == "another size":
        Image.fromarray(np.ones((12, 48), np.uint8)).save(labels)
    elif what == "colours":
        Image.fromarray(np.ones((24, 48, 3), np.uint8)).save(labels)
    elif what == "a strange id":
        Image.fromarray(np.full((24, 48), 40, np.uint8)).save(labels)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no package", r"gtFine/val: expected a folder of the official download, found none; unpack gtFine there"),
        ("a missing file", r"zurich_000000_000019_disparity\.png: expected a file for .*leftImg8bit\.png, found none"),
        ("no images", r"leftImg8bit/val: expected CITY/\*_leftImg8bit\.png, found none"),
        ("half a file", r"zurich_000000_000019_gtFine_labelIds\.png: expected a readable \.png file, found"),
        ("8 bits", r"zurich_000000_000019_disparity\.png: expected 16 bits per pixel, found uint8"),
        ("another size", r"labelIds\.png: expected the size of its image, 24x48, found \[12, 48\]"),
        ("colours", r"labelIds\.png: expected the size of its image, 24x48, found \[24, 48, 3\]"),
        ("a strange id", r"labelIds\.png: expected label ids 0\.\.33, found 40"),
    ],
)
def test_a_wrong_download_is_one_line(what: str, message: str, tmp_path: Path) -> None:
    spoil(write_cityscapes(tmp_path / "download"), what)
    with pytest.raises(ValueError, match=message) as error:
        prepare_cityscapes(tmp_path / "download", tmp_path / "out", (24, 48), 1, QUIET)
    assert "\n" not in str(error.value)


def test_progress_is_plain_lines_where_there_is_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tutelage.prepare.frames._LINE_SECONDS", 0.0)
    prepare_cityscapes(write_cityscapes(tmp_path / "download"), tmp_path / "out", (24, 48), 1, Console())
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [f"{tmp_path / 'out'}: {n} of 5 frames" for n in range(1, 6)]
    assert lines[-1] == "frames    5 written, 0 were there"
    assert any("label: road, %" in line for line in lines)
    terminal = io.StringIO()
    prepare_cityscapes(
        tmp_path / "download", tmp_path / "out", (24, 48), 1, Console(file=terminal, force_terminal=True)
    )
    assert "5 frames" not in terminal.getvalue()
    assert "5 were there" in terminal.getvalue()
