"""What the check says of data that can be read, and are wrong or doubtful all the same, with the right values."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import ExifTags, Image
from rich.console import Console

from tutelage.errors import UserError
from tutelage.study import Study, check_data, load_study, read_values
from tutelage.types.look import Look

SIZE = (32, 32)
CLASSES, DEPTH = "tutelage.data.ClassesLabel", "tutelage.data.DepthLabel"
AREAS = np.kron(np.arange(4).reshape(2, 2), np.ones((16, 16), int)).astype(np.uint8)
METRES = np.linspace(0.5, 5, 1024).reshape(SIZE)
Array = np.ndarray[Any, Any]


def save(path: Path, array: Array, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array) if path.suffix == ".npy" else Image.fromarray(array).save(path, **options)


def photographs(root: Path, name: str = "image/{}.png") -> None:
    for split in ("train", "test"):
        for i in range(4):
            noise = np.random.default_rng((i, split == "test")).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            save(root / split / name.format(i), noise)


def labels(root: Path, name: str, make: Callable[[str, int], Array], **options: Any) -> None:
    for split in ("train", "test"):
        for i in range(4):
            save(root / split / name.format(i), make(split, i), **options)


def study(root: Path, kind: Any, task: Any, **data: Any) -> Study:
    values = {**read_values("rooms-tiny"), "methods": ["uniform"], "tasks": {"x": task}, "out": str(root / "out")}
    label = {"folder": "x", "kind": kind}
    arguments = {"root": str(root), "labels": {"x": label}, **data}
    values["data"] = {"class_path": "tutelage.data.Folders", "init_args": arguments}
    file = root / "study.yaml"
    file.write_text(yaml.safe_dump(values))
    return load_study(file)


def look(found: Study) -> Look:
    return check_data(found, Console(file=io.StringIO()))


def segmentation(classes: int) -> dict[str, Any]:
    return {"class_path": "tutelage.tasks.Segmentation", "init_args": {"classes": classes}}


def depth(scale: float) -> dict[str, Any]:
    return {"class_path": DEPTH, "init_args": {"scale": scale}}


METRIC = {"class_path": "tutelage.tasks.Depth"}


def warnings(found: Look) -> str:
    return "\n".join(map(str, found.warnings))


def test_a_mask_of_1_bit_has_two_classes(tmp_path: Path) -> None:
    photographs(tmp_path)
    labels(tmp_path, "x/{}.png", lambda split, i: AREAS > 0)
    found = look(study(tmp_path, CLASSES, segmentation(2)))
    (train,) = (x for x in found.labels if (x.label, x.split) == ("x", "train"))
    assert train.stored == {"PNG, 1 bit": 4}
    assert train.measures.classes == {0: 0.25, 1: 0.75}
    assert train.measures.unlabelled == 0
    assert not found.warnings


def test_255_is_not_taken_for_no_label_where_it_is_a_class(tmp_path: Path) -> None:
    photographs(tmp_path)
    labels(tmp_path, "x/{}.png", lambda split, i: ((AREAS > 0) * 255).astype(np.uint8))
    line = r"train/x: expected pixels of 2 classes, found class 0 alone, beside 255 for no label; .*MaskLabel"
    with pytest.raises(UserError, match=line):
        look(study(tmp_path, CLASSES, segmentation(2)))
    found = look(study(tmp_path, "tutelage.data.MaskLabel", segmentation(2)))
    assert [x.measures.classes for x in found.labels if x.label] == [{0: 0.25, 1: 0.75}] * 2


def test_pictures_of_8_and_16_bits_have_no_common_scale(tmp_path: Path) -> None:
    photographs(tmp_path)
    labels(
        tmp_path, "x/{}.png",
        lambda split, i: (METRES * 25.5).astype(np.uint8) if split == "train" else (METRES * 400).astype(np.uint16),
    )  # fmt: skip
    line = (
        r"test/x/0.png: expected 8 bits as in .*train/x/0.png, since one `scale` \(0.03922\) holds for both, found 16;"
    )
    with pytest.raises(UserError, match=line):
        look(study(tmp_path, depth(1 / 25.5), METRIC))


def test_8_bits_hold_no_millimetres(tmp_path: Path) -> None:
    photographs(tmp_path)
    labels(tmp_path, "x/{}.png", lambda split, i: (METRES * 25.5).astype(np.uint8))
    with pytest.raises(
        UserError, match=r"x/\d.png: expected 16 bits for a `scale` of 0.001, found 8, .* would be 0.255 m;"
    ):
        look(study(tmp_path, depth(0.001), METRIC))
    found = look(study(tmp_path, depth(1 / 25.5), METRIC))
    (train, _) = (x for x in found.labels if x.label)
    assert (train.measures.low, train.measures.high) == pytest.approx((0.5, 5), abs=0.04)
    assert (train.reading, train.unit) == ("value x 0.03922 = m", "m")


def test_65535_is_no_distance(tmp_path: Path) -> None:
    photographs(tmp_path)
    labels(tmp_path, "x/{}.png", lambda split, i: np.where(AREAS == 0, 65535, METRES * 1000).astype(np.uint16))
    found = look(study(tmp_path, depth(0.001), METRIC))
    (train, _) = (x for x in found.labels if x.label)
    assert train.measures.high == pytest.approx(5)
    assert train.measures.unlabelled == 0.25


def test_units_that_differ_between_the_splits_are_doubted(tmp_path: Path) -> None:
    photographs(tmp_path)
    labels(tmp_path, "x/{}.npy", lambda split, i: METRES * (1 if split == "train" else 10))
    text = r"train/x: expected one unit, found a median of 2.75 m in train and of 27.5 m in test; compare"
    assert re.search(text, warnings(look(study(tmp_path, DEPTH, METRIC))))


def test_classes_in_jpeg_are_refused_and_masks_doubted(tmp_path: Path) -> None:
    photographs(tmp_path)
    labels(tmp_path, "x/{}.jpg", lambda split, i: AREAS * 60, quality=90)
    with pytest.raises(
        UserError, match=r"x/0.jpg: expected class numbers as they were drawn, found JPEG, which changes"
    ):
        look(study(tmp_path, CLASSES, segmentation(256)))
    labels(tmp_path, "x/{}.jpg", lambda split, i: ((AREAS > 0) * 255).astype(np.uint8))
    found = look(study(tmp_path, "tutelage.data.MaskLabel", segmentation(2)))
    assert "expected a format that keeps values, found 8 in JPEG; edges move by a pixel or two" in warnings(found)


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    photographs(tmp_path)
    labels(tmp_path, "x/{}.png", lambda split, i: AREAS)
    train = tmp_path / "train"
    (train / "image/deeper").mkdir()
    (train / "image/9.heic").write_bytes(b"")
    (train / "image/.DS_Store").write_bytes(b"")
    (train / "image/Thumbs.db").write_bytes(b"")
    save(train / "x/7.png", AREAS)
    found = look(study(tmp_path, CLASSES, segmentation(4)))
    assert {(Path(x.folder).name, x.reason, x.count, x.examples) for x in found.left_out} == {
        ("image", ".heic is not read", 1, ("9.heic",)),
        ("image", "sub-folders are not read", 1, ("deeper",)),
        ("x", "no image has this name", 1, ("7.png",)),
    }


def test_every_format_that_pillow_reads_is_used(tmp_path: Path) -> None:
    photographs(tmp_path)
    for i, suffix in enumerate((".webp", ".bmp", ".tif")):
        (tmp_path / "train/image" / f"{i}.png").unlink()
        save(tmp_path / "train/image" / f"{i}{suffix}", np.full((*SIZE, 3), 9, np.uint8))
    labels(tmp_path, "x/{}.png", lambda split, i: AREAS)
    images = look(study(tmp_path, CLASSES, segmentation(4))).labels[0]
    assert (images.samples, images.files) == (4, 4)
    assert images.stored == {f"{kind}, 8-bit RGB": 1 for kind in ("WEBP", "BMP", "TIFF", "PNG")}


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_turned_image_beside_a_label_that_is_not(tmp_path: Path, orientation: int) -> None:
    photographs(tmp_path)
    labels(tmp_path, "x/{}.png", lambda split, i: AREAS[:, :24])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    for path in tmp_path.glob("*/image/*"):
        Image.fromarray(np.zeros((32, 24, 3), np.uint8) + 99).save(path)
    Image.fromarray(np.zeros((32, 24, 3), np.uint8) + 99).save(tmp_path / "train/image/0.png", exif=exif)
    found = study(tmp_path, CLASSES, segmentation(4), size=list(SIZE))
    if orientation == 6:
        with pytest.raises(
            UserError, match=r"x/0.png: expected .* 24x32, found 32x24; .* turned by its EXIF orientation"
        ):
            look(found)
    else:
        assert "train/image/0.png: expected labels of images that are turned by their EXIF" in warnings(look(found))


def test_what_was_seen_is_written_for_the_report(tmp_path: Path) -> None:
    photographs(tmp_path)
    labels(tmp_path, "x/{}.png", lambda split, i: AREAS + 1)
    found = study(tmp_path, CLASSES, segmentation(5))
    found.folder.mkdir(parents=True, exist_ok=True)
    half = found.folder / ".data.json.part-1"  # of a killed process
    half.touch()
    seen = look(found)
    assert not half.exists()
    record = json.loads((found.folder / "data.json").read_text())
    assert record["version"] == 1
    assert record["warnings"] == [{"where": w.where, "text": w.text} for w in seen.warnings]
    assert "found none of 0; where 0 means no label, add it to `ignore`" in record["warnings"][0]["text"]
    train = next(x for x in record["labels"] if (x["label"], x["split"]) == ("x", "train"))
    assert train["measures"]["classes"] == {"1": 0.25, "2": 0.25, "3": 0.25, "4": 0.25}


def test_what_is_remembered_says_the_same(tmp_path: Path) -> None:
    photographs(tmp_path)
    labels(tmp_path, "x/{}.png", lambda split, i: AREAS + 1)
    first, console = look(study(tmp_path, CLASSES, segmentation(5))), io.StringIO()
    second = check_data(study(tmp_path, CLASSES, segmentation(5)), Console(file=console))
    assert second == first
    assert "checking" not in console.getvalue()
    assert "data: " in console.getvalue()


def test_grey_images_of_bytes_that_are_0_and_1(tmp_path: Path) -> None:
    photographs(tmp_path)
    for path in tmp_path.glob("*/image/*"):
        save(path, np.random.default_rng(0).integers(0, 2, (*SIZE, 3), dtype=np.uint8))
    labels(tmp_path, "x/{}.png", lambda split, i: AREAS)
    with pytest.raises(
        UserError, match=r"train/image: expected images in 0..1, or bytes in 0..255, found none above 1 of"
    ):
        look(study(tmp_path, CLASSES, segmentation(4)))


def test_numbers_far_from_the_mean_of_their_task(tmp_path: Path) -> None:
    photographs(tmp_path)
    for split in ("train", "test"):
        (tmp_path / split / "x").mkdir()
        for i in range(4):
            (tmp_path / split / "x" / f"{i}.txt").write_text(f"{3000 + i}")
    found = look(study(tmp_path, "tutelage.data.NumbersLabel", {"class_path": "tutelage.tasks.Regression"}))
    assert "tasks.x: expected labels near `mean` 0 at a `std` of 1, found a median of 3001" in warnings(found)
