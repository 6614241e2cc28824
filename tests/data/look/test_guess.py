"""What a folder seems to hold, for every form in which people keep labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tutelage.data.look import Guess, guess
from tutelage.errors import UserError

RNG = np.random.default_rng(0)
AREAS = np.kron(np.arange(6).reshape(2, 3), np.ones((12, 12), int))  # six areas of one class each
DEPTH = np.linspace(0.4, 9.8, 24 * 36).reshape(24, 36)
SPHERE = np.stack([(np.mgrid[:24, :36][1] - 18) / 40, (12 - np.mgrid[:24, :36][0]) / 40, np.zeros((24, 36))], -1)
DISC = ((((np.mgrid[:24, :36] - np.array([12, 18])[:, None, None]) ** 2).sum(0) < 90) * 255).astype(np.uint8)
SMOOTH = np.asarray(Image.fromarray(DISC).resize((72, 50), Image.Resampling.BILINEAR))
RARE = np.where(AREAS < 3, 0, 255)  # nearly all is 0 or 255, with a few small areas of classes
RARE[2:6, 4:12], RARE[4:8, 20:26], RARE[15:18, 5:10] = 3, 7, 18
SPHERE[..., 2] = np.sqrt(1 - (SPHERE**2).sum(-1))


def written(folder: Path, name: str, array: Any) -> Guess:
    """The guess of a folder with one file of this name."""
    path = folder / name
    if isinstance(array, str):
        path.write_text(array)
    elif isinstance(array, Image.Image):
        array.save(path)
    elif path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)
    return guess([path], folder.name)


CASES: Mapping[str, tuple[str, str, Any, str, dict[str, Any], dict[str, Any], str]] = {
    # folder, file, content -> kind, its arguments, the task's, words
    "classes": ("gt", "1.png", AREAS.astype(np.uint8), "ClassesLabel", {}, {"classes": 6}, "6 classes, 0 to 5"),
    "classes and 255": (
        "gt", "1.png", np.where(AREAS == 5, 255, AREAS).astype(np.uint8), "ClassesLabel", {}, {"classes": 5},
        "5 classes, 0 to 4, and 255 for no label",
    ),
    "classes in 16 bits": ("gt", "1.png", AREAS.astype(np.uint16), "ClassesLabel", {}, {"classes": 6}, "6 classes"),
    "classes and -1": ("gt", "1.npy", AREAS - 1, "ClassesLabel", {}, {"classes": 5}, "5 classes, 0 to 4, and -1 for"),
    "masks of 0 and 255": (
        "x", "1.png", ((AREAS > 2) * 255).astype(np.uint8), "MaskLabel", {}, {"classes": 2}, "masks of 0 and 255",
    ),
    "masks of 0 and 1": (
        "x", "1.png", (AREAS > 2).astype(np.uint8), "MaskLabel", {"threshold": 1}, {"classes": 2}, "masks of 0 and 1",
    ),
    "masks of 1 bit": ("x", "1.png", AREAS > 2, "MaskLabel", {}, {"classes": 2}, "1-bit masks"),
    "truth values": ("x", "1.npy", AREAS > 2, "MaskLabel", {}, {"classes": 2}, "masks of 0 and 1"),
    "masks with smoothed edges": (
        "x", "1.png", SMOOTH, "MaskLabel", {}, {"classes": 2}, "masks of 0 and 255 with smoothed edges",
    ),
    "masks of JPEG saved again": (
        "x", "1.png", np.where(AREAS > 2, 247, 0).astype(np.uint8) + RNG.integers(0, 9, AREAS.shape, dtype=np.uint8),
        "MaskLabel", {}, {"classes": 2}, "with smoothed edges",
    ),
    "few areas between 0 and 255": (
        "x", "1.png", RARE.astype(np.uint8), "ClassesLabel", {}, {"classes": 19}, "and 255 for no label",
    ),
    "masks in JPEG": (
        "x", "1.jpg", ((AREAS > 2) * 255).astype(np.uint8), "MaskLabel", {}, {"classes": 2}, "blurred by JPEG",
    ),
    "millimetres": (
        "x", "1.png", (DEPTH * 1000).astype(np.uint16), "DepthLabel", {"scale": 0.001}, {"range": [0.49, 9.8]},
        "depth in millimetres: 0.4 to 9.8 m",
    ),
    "millimetres and 65535": (
        "x", "1.png", np.where(DEPTH > 5, 65535, DEPTH * 1000).astype(np.uint16), "DepthLabel", {"scale": 0.001},
        {"range": [0.44, 5.0]}, "to 5 m",
    ),
    "depth of 8 bits": (
        "depth", "1.png", (DEPTH * 25.5).astype(np.uint8), "DepthLabel", {"scale": 1 / 25.5}, {"range": [0.47, 9.7]},
        "at 255",
    ),
    "metres": (
        "x", "1.npy", DEPTH.astype(np.float32), "DepthLabel", {}, {"range": [0.49, 9.8]},
        "depth in metres: 0.4 to 9.8 m",
    ),
    "metres in TIFF": (
        "x", "1.tif", DEPTH.astype(np.float32), "DepthLabel", {"scale": 1.0}, {"range": [0.49, 9.8]}, "depth in metres",
    ),
    "metres out of doors": (
        "x", "1.npy", np.where(DEPTH > 9.79, 900, 10 * DEPTH), "DepthLabel", {}, {"range": [4.9, 98.0]},
        "depth in metres: 4 to 900 m",
    ),
    "one depth": ("x", "1.npy", np.full((24, 36), 2.5), "DepthLabel", {}, {}, "depth in metres: 2.5 to 2.5 m"),
    "disparity": (
        "disparity", "1.png", (1000 / DEPTH).astype(np.uint16), "InverseDepthLabel", {"scale": 1 / 65535},
        {"range": [0.0015, 0.031]}, "looks like inverse depth",
    ),
    "normals": ("x", "1.npy", SPHERE, "NormalsLabel", {}, {}, "normals"),
    "normals as picture": (
        "x", "1.png", ((SPHERE + 1) * 127.5).round().astype(np.uint8), "NormalsLabel", {}, {}, "normals",
    ),
    "a number": ("x", "1.txt", "0.25", "NumbersLabel", {}, {"outputs": 1}, "one number per image"),
    "numbers": ("x", "1.txt", "0.25 3", "NumbersLabel", {}, {"outputs": 2}, "2 numbers per image"),
    "a class": ("x", "1.txt", "4", "ClassLabel", {}, {"classes": 5}, "a class"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_a_folder_seems_to_hold(case: str, tmp_path: Path) -> None:
    folder, name, content, kind, kind_args, task_args, words = CASES[case]
    (tmp_path / folder).mkdir()
    found = written(tmp_path / folder, name, content)
    assert (found.kind, found.kind_args) == (f"tutelage.data.{kind}", pytest.approx(kind_args))
    assert found.task_args == task_args
    assert words in found.words
    assert not found.is_image


def test_images_are_no_labels(tmp_path: Path) -> None:
    tmp_path = tmp_path / "x"
    tmp_path.mkdir()
    for name in ("1.jpg", "2.webp", "3.bmp", "4.tif"):
        found = written(tmp_path, name, RNG.integers(0, 256, (24, 36, 3), dtype=np.uint8))
        assert found.is_image
        assert not found.kind
    assert written(tmp_path, "5.png", RNG.integers(0, 256, (24, 36), dtype=np.uint8)).is_image


DOUBTS: Mapping[str, tuple[str, str, Any, str]] = {
    "one scale for 8 and 16 bits": ("depth", "1.png", None, "8 and of more bits are mixed"),
    "normals in 0..1": ("normals", "1.npy", (SPHERE + 1) / 2, "write normals n as components in -1..1"),
    "a unit that 8 bits do not say": ("depth", "1.png", (DEPTH * 25).astype(np.uint8), "8 bits do not say their unit"),
    "classes from 1": ("x", "1.png", (AREAS + 1).astype(np.uint8), "class 0 does not occur"),
    "colours for classes": ("label", "1.png", np.stack([AREAS * 40] * 2 + [AREAS], -1).astype(np.uint8), "as colours"),
    "Cityscapes' ids": ("x", "1.png", np.array([7, 11, 21, 23, 24, 26])[AREAS].astype(np.uint8), "Cityscapes' ids"),
    "centimetres": ("depth", "1.png", (DEPTH * 16).astype(np.uint16), "in millimetres the median is 0.08"),
    "numbers of instances": ("x", "1.png", (AREAS * 1000 + 1).astype(np.uint16), "as numbers of instances are"),
    "edges that were smoothed": ("x", "1.png", SMOOTH, "128 to 255 is taken for 1"),
    "smoothed 0 and 1": ("x", "1.npy", SMOOTH / 255, "write 0 and 1 alone"),
    "millimetres in .npy": ("depth", "1.npy", DEPTH * 1000, "holds metres"),
}


@pytest.mark.parametrize("case", DOUBTS)
def test_what_may_be_wrong_is_said(case: str, tmp_path: Path) -> None:
    folder, name, content, doubt = DOUBTS[case]
    (tmp_path / folder).mkdir()
    if content is None:
        written(tmp_path / folder, name, (DEPTH * 25).astype(np.uint8))
        written(tmp_path / folder, "2.png", (DEPTH * 1000).astype(np.uint16))
        found = guess(sorted((tmp_path / folder).iterdir()), folder)
    else:
        found = written(tmp_path / folder, name, content)
    assert any(doubt in text for text in found.doubts), found


@pytest.mark.parametrize("texts", [["1 0.5 0.5 0.2 0.2\n"], ["0 .1 .1 .1 1\n7 1 1 0 0", "", "3 0.5 0.5 0.2 0.2"]])
def test_boxes_are_no_numbers(tmp_path: Path, texts: list[str]) -> None:
    for i, text in enumerate(texts):
        (tmp_path / f"{i}.txt").write_text(text)
    found = guess(sorted(tmp_path.iterdir()))
    assert (found.kind, found.words) == (
        "", "boxes (lines of a class and four numbers from 0 to 1), which no task of tutelage learns",
    )  # fmt: skip


def test_an_empty_text_beside_numbers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0.txt").write_text("2 0.5 0.5 0.2 1.2")
    (tmp_path / "1.txt").write_text("")
    with pytest.raises(UserError, match=r"1\.txt: expected a text of numbers, found none"):
        guess(sorted(tmp_path.iterdir()))


def test_classes_are_counted_in_more_files_than_are_looked_at(tmp_path: Path) -> None:
    for i in range(70):
        Image.fromarray((AREAS + (i == 1)).astype(np.uint8)).save(tmp_path / f"{i:02}.png")
    found = guess(sorted(tmp_path.iterdir()))
    assert (found.task_args, found.files) == ({"classes": 7}, 70)


@pytest.mark.filterwarnings("error")
def test_a_column_of_unknown_numbers_is_no_warning(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    assert written(tmp_path / "x", "1.txt", "0.25 nan").task_args == {"outputs": 2}
