"""What an attacker found that was trained on without a word: encodings, duplicates and numbers that stand for none."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.study.test_look import (
    AREAS,
    CLASSES,
    DEPTH,
    METRES,
    METRIC,
    SIZE,
    Array,
    depth,
    labels,
    look,
    photographs,
    save,
    segmentation,
    study,
    warnings,
)

from tutelage.errors import UserError


def palette(numbers: Array, colours: list[int]) -> Image.Image:
    """A picture whose indices are `numbers`."""
    picture = Image.fromarray(numbers.astype(np.uint8), "P")
    picture.putpalette(bytes(c for colour in colours for c in colour.to_bytes(3, "big")))
    return picture


RED, GREEN, BLUE, WHITE = 0xFF0000, 0x00FF00, 0x0000FF, 0xFFFFFF


def with_palettes(root: Path, *pictures: tuple[Array, list[int]]) -> None:
    """Labels of which each has the palette of its own that its encoder chose."""
    photographs(root)
    labels(root, "x/{}.png", lambda split, i: AREAS)
    for split in ("train", "test"):
        for i in range(4):
            palette(*pictures[i % len(pictures)]).save(root / split / f"x/{i}.png")


@pytest.mark.parametrize("kind", [CLASSES, {"class_path": "tutelage.data.MaskLabel", "init_args": {"threshold": 1}}])
def test_a_colour_has_one_index_in_all_palettes(kind: Any, tmp_path: Path) -> None:
    halves = (AREAS > 1).astype(np.uint8)
    with_palettes(tmp_path, (halves, [0, WHITE]), (1 - halves, [WHITE, 0]))
    line = r"x/1.png: expected the colour #ffffff to be class 1, as in .*x/0.png, .*, found it at index 0; .*CodedLabel"
    with pytest.raises(UserError, match=line):
        look(study(tmp_path, kind, segmentation(2)))


def test_an_index_of_two_colours_is_doubted_and_one_palette_is_not(tmp_path: Path) -> None:
    with_palettes(tmp_path / "one", (AREAS, [0, RED, GREEN, BLUE]))
    assert not look(study(tmp_path / "one", CLASSES, segmentation(4))).warnings
    with_palettes(tmp_path / "two", (AREAS, [0, RED, GREEN, BLUE]), (AREAS, [0, RED, GREEN, WHITE]))
    (doubt,) = look(study(tmp_path / "two", CLASSES, segmentation(4))).warnings
    assert re.match(r"expected class 3 to be the colour #0000ff, as in .*, found the colour #ffffff at", doubt.text)


def test_grey_values_that_became_indices_are_doubted(tmp_path: Path) -> None:
    """A tool that makes PNG smaller may number the grey values that occur: here 0, 1, 3 and 255."""
    with_palettes(tmp_path, (AREAS, [0, 0x010101, 0x030303, WHITE]))
    found = warnings(look(study(tmp_path, CLASSES, segmentation(4))))
    assert "expected class 2, as classes are a palette's indices, to be a colour, found grey of value 3, which" in found


@pytest.mark.parametrize("other", ["1 bit", "a palette"])
def test_forms_in_which_classes_are_written_in_other_ways_are_doubted(other: str, tmp_path: Path) -> None:
    photographs(tmp_path)
    halves = (AREAS > 1).astype(np.uint8)
    labels(tmp_path, "x/{}.png", lambda split, i: halves)
    picture = Image.fromarray(halves * 255).convert("1") if other == "1 bit" else palette(halves, [0, RED])
    picture.save(tmp_path / "train/x/2.png")
    (doubt,) = look(study(tmp_path, CLASSES, segmentation(2))).warnings
    assert doubt.where.endswith("train/x/2.png")
    assert f"found {other} beside 8-bit grey" in doubt.text


@pytest.mark.parametrize("where", ["some files", "all of test"])
def test_0_and_255_in_some_files_beside_0_and_1_in_others_are_doubted(where: str, tmp_path: Path) -> None:
    photographs(tmp_path)
    halves = (AREAS > 1).astype(np.uint8)
    labels(
        tmp_path, "x/{}.png",
        lambda split, i: halves * 255 if (i % 2 if where == "some files" else split == "test") else halves,
    )  # fmt: skip
    (doubt,) = look(study(tmp_path, CLASSES, segmentation(2))).warnings
    assert "found 4 files with 255 and never 1, beside 4 with 1 and never 255" in doubt.text


def test_test_images_that_are_in_train_are_doubted(tmp_path: Path) -> None:
    photographs(tmp_path)
    labels(tmp_path, "x/{}.png", lambda split, i: AREAS)
    with Image.open(tmp_path / "train/image/3.png") as picture:
        picture.save(tmp_path / "test/image/0.bmp")  # in another format and under another name
    (tmp_path / "test/image/0.png").unlink()
    for split in ("train", "test"):
        save(tmp_path / split / "image/1.png", np.zeros((*SIZE, 3), np.uint8))  # is no evidence
    (doubt,) = look(study(tmp_path, CLASSES, segmentation(4))).warnings
    assert doubt.where.endswith("test/image/0.bmp")
    assert re.search(r"found 1 of 4 that are, such as .*train/image/3.png; remove them", doubt.text)


def test_an_image_with_two_labels_is_doubted(tmp_path: Path) -> None:
    photographs(tmp_path)
    labels(tmp_path, "x/{}.png", lambda split, i: AREAS if i else 3 - AREAS // 2)
    for i in (0, 2):
        shutil.copy(tmp_path / "train/image/1.png", tmp_path / f"train/image/{i}.png")
    (doubt,) = look(study(tmp_path, CLASSES, segmentation(4))).warnings
    assert "one label for each image of train, found 2 images again with another label" in doubt.text


def test_a_distance_that_stands_for_none_is_doubted_and_an_impossible_one_refused(tmp_path: Path) -> None:
    for far, name in ((1e4, "doubtful"), (3.4e38, "impossible")):
        root = tmp_path / name
        photographs(root)
        labels(root, "x/{}.npy", lambda split, i, far=far: np.where(AREAS == 3, far, METRES).astype(np.float32))
    (doubt,) = look(study(tmp_path / "doubtful", depth(0.001), METRIC)).warnings
    assert "found up to 1e+04 m at a median of 2.7" in doubt.text
    with pytest.raises(UserError, match=r"train/x: expected distances, found up to 3.4e\+38 m .*; .* `limit` below it"):
        look(study(tmp_path / "impossible", depth(0.001), METRIC))
    kind = {"class_path": DEPTH, "init_args": {"limit": 100}}
    assert not look(study(tmp_path / "impossible", kind, METRIC)).warnings


@pytest.mark.parametrize(
    ("suffix", "dtype", "text"),
    [
        (
            "tif",
            np.float32,
            "expected whole numbers for a `scale` of 0.03922, found floats, which hold metres",
        ),
        ("png", np.uint16, "expected 8 bits for a `scale` of 0.03922, found 16, which would reach 2.57e+03 m"),
    ],
)
def test_a_scale_for_other_bits_is_doubted(suffix: str, dtype: Any, text: str, tmp_path: Path) -> None:
    photographs(tmp_path)
    unit = 1 if dtype is np.float32 else 200  # small enough to stay below what is refused
    labels(tmp_path, f"x/{{}}.{suffix}", lambda split, i: (METRES * unit).astype(dtype))
    assert text in warnings(look(study(tmp_path, depth(1 / 25.5), METRIC)))


@pytest.mark.parametrize(("number", "text"), [("-999", "a least label of -999"), ("41", "found 41 alone in train")])
def test_numbers_that_stand_for_none_or_never_differ_are_doubted(number: str, text: str, tmp_path: Path) -> None:
    photographs(tmp_path)
    for split in ("train", "test"):
        (tmp_path / split / "x").mkdir()
        for i in range(4):
            (tmp_path / split / f"x/{i}.txt").write_text("41" if i else number)
    task = {"class_path": "tutelage.tasks.Regression", "init_args": {"mean": [40.0], "std": [10.0]}}
    values = study(tmp_path, "tutelage.data.NumbersLabel", task)
    assert text in warnings(look(values))


MASK = "tutelage.data.MaskLabel"


@pytest.mark.parametrize("task", [{"class_path": "tutelage.tasks.Saliency"}, segmentation(2)])
def test_masks_without_a_0_are_doubted(task: Any, tmp_path: Path) -> None:
    photographs(tmp_path)
    labels(tmp_path, "x/{}.png", lambda split, i: AREAS + 1)
    kind = {"class_path": MASK, "init_args": {"threshold": 1}}
    (doubt,) = look(study(tmp_path, kind, task)).warnings
    assert "expected pixels of 0 and 1, found 1 alone in train; check the label's `threshold`, 1" in doubt.text


def test_a_class_0_that_means_no_label_is_doubted_until_it_is_ignored(tmp_path: Path) -> None:
    photographs(tmp_path)
    labels(tmp_path, "x/{}.png", lambda split, i: AREAS + 1)
    (doubt,) = look(study(tmp_path, CLASSES, segmentation(5))).warnings
    assert "found none of 0; where 0 means no label, add it to `ignore`" in doubt.text
    ignored = {"class_path": CLASSES, "init_args": {"ignore": [0, 255]}}
    assert not look(study(tmp_path, ignored, segmentation(5))).warnings
    (doubt,) = look(study(tmp_path, ignored, segmentation(7))).warnings
    assert "found none of 5, 6; correct `classes`" in doubt.text


def test_a_label_without_ignore_is_not_told_to_ignore(tmp_path: Path) -> None:
    photographs(tmp_path)
    for split in ("train", "test"):
        (tmp_path / split / "x").mkdir()
        for i in range(4):
            (tmp_path / split / f"x/{i}.txt").write_text(str(1 + i % 2))
    task = {"class_path": "tutelage.tasks.Classification", "init_args": {"classes": 3}}
    values = study(tmp_path, "tutelage.data.ClassLabel", task)
    (doubt,) = look(values).warnings
    assert "found none of 0; number the classes from 0" in doubt.text
    assert "ignore" not in doubt.text
