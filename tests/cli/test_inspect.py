"""`tutelage inspect`: what is in the data, what is wrong, and a page with samples."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.study.test_look import AREAS, CLASSES, SIZE, labels, photographs, segmentation

from tutelage.cli import main
from tutelage.study import read_values


def study(root: Path, kind: Any, task: Any, **data: Any) -> None:
    """Write a study of one task whose labels are in the folders `x`, which takes a second to load."""
    arguments = {"root": str(root), "labels": {"x": {"folder": "x", "kind": kind}}, **data}
    values = {**read_values("rooms-tiny"), "methods": ["uniform"], "tasks": {"x": task}, "out": str(root / "out")}
    values["data"] = {"class_path": "tutelage.data.Folders", "init_args": arguments}
    (root / "study.yaml").write_text(yaml.safe_dump(values))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    photographs(tmp_path)
    labels(tmp_path, "x/{}.png", lambda split, i: AREAS)
    study(tmp_path, CLASSES, segmentation(4))
    return tmp_path


@pytest.mark.parametrize("columns", ["60", "200"])
def test_sound_data(
    root: Path, columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["inspect", "study.yaml"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "PNG, 8-bit grey",
        "value; 255 is no label",
        "4 classes, 0 to 3",
        "x, train: class 0 25 %, class 1 25 %",
    ):
        assert text in shown
    page = (root / "data-rooms-tiny.html").read_text()
    assert page.count('src="data:image/webp') == 2  # an image and its label
    assert page.startswith("<!doctype html>")
    assert page.count('<i class="dash0" style="color:#') == 4  # a swatch for each class, which is seen with its class
    assert not (root / "out").exists()  # nothing was written for a run
    assert "Wrong" not in page + shown


def test_everything_that_is_wrong_is_listed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(AREAS[:8]).save(root / "train/x/1.png")
    (root / "train/x/2.png").write_bytes(b"<b>")
    (root / "train/image/<i>.heic").write_bytes(b"")
    Image.fromarray(np.full(SIZE, 9, np.uint8)).save(root / "test/x/0.png")
    assert main(["inspect", "study.yaml", "--page", "page.html"]) == 2
    shown, page = capsys.readouterr().out, (root / "page.html").read_text()
    for pattern in (
        r"train/x/1.png: expected the size of its image, 32x32, found 8x32",
        r"train/x/2.png: expected a readable .png file",
        r"test/x/0.png: expected classes 0..3",
    ):
        assert re.search(pattern, shown)
        assert re.search(pattern, page)
    assert "<i>.heic" in shown
    assert "&lt;i&gt;.heic" in page
    assert "<i>.heic" not in page


def test_a_flag_of_the_study(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "study.yaml", "--tasks.x.classes", "3"]) == 2
    assert "expected classes 0..2, or -1 where unlabelled, found 3" in capsys.readouterr().out


def test_a_misspelt_flag_of_its_own(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "study.yaml", "--pag", "page.html"]) == 2
    assert "found `--pag`; did you mean `--page`?" in capsys.readouterr().err


def grey_masks(root: Path) -> None:
    labels(root, "x/{}.png", lambda split, i: AREAS // 2 * 100)
    study(root, {"class_path": "tutelage.data.MaskLabel"}, {"class_path": "tutelage.tasks.Saliency"})


def far_depth(root: Path) -> None:
    labels(root, "x/{}.png", lambda split, i: AREAS.astype(np.uint16) + 9000)
    kind = {"class_path": "tutelage.data.DepthLabel", "init_args": {"limit": 5}}
    study(root, kind, {"class_path": "tutelage.tasks.Depth"})


def another_task(root: Path) -> None:
    study(root, CLASSES, {"class_path": "tutelage.tasks.Depth"})


def several_sizes(root: Path) -> None:
    for name in ("image", "x"):
        Image.fromarray(np.tile(AREAS, 2)).save(root / f"train/{name}/1.png")


def too_small(root: Path) -> None:
    study(root, CLASSES, segmentation(4), size=[4, 4])


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (grey_masks, "x/0.png: expected a pixel that is 1 for `x` somewhere in train, found none .* `1 from 128 on`; "
         "set the label's `threshold` to .*, whose greatest value is 100"),
        (far_depth, "x/0.png: expected a value for `x` somewhere in test, found none .*, read as .*above 5 is"),
        (another_task, "tasks.x: expected labels of depth for Depth, found classes"),
        (several_sizes, "image/1.png: expected 32x32, .* found 32x64; set data.size"),
        (too_small, "expected images of at least .*"),
    ],
)  # fmt: skip
def test_what_stops_training_is_wrong(
    make: Callable[[Path], None], line: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(root)
    assert main(["run", "study.yaml", "--dry-run"]) == 2
    assert main(["inspect", "study.yaml", "--page", "page.html"]) == 2
    assert re.search(line, capsys.readouterr().out)
