"""Data of one's own: a dataset in Python."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.source_tester import SourceTester
from torch.utils.data import Dataset, IterableDataset

from tutelage.data import (
    ClassesLabel,
    ClassLabel,
    DataSource,
    DepthLabel,
    FromDataset,
    HoldOut,
    NormalsLabel,
    NumbersLabel,
)
from tutelage.errors import UserError

KINDS = {"segmentation": ClassesLabel(), "depth": DepthLabel(), "normals": NormalsLabel()}


def unchanged(item: dict) -> dict:
    return item


class Own(Dataset):
    """Image i and its labels are functions of i; `change` is done to each item."""

    def __init__(
        self, count: int = 10, change: Callable[[dict], object] = unchanged, shape: tuple[int, int] = (48, 64)
    ) -> None:
        self.count, self.change, self.shape = count, change, shape

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> object:
        rng = np.random.default_rng(index)
        image = rng.integers(0, 256, (*self.shape, 3), dtype=np.uint8)
        classes = rng.integers(-1, 13, self.shape)
        depth = rng.integers(0, 9000, self.shape) / 1000  # what 16 bits in millimetres hold
        normals = rng.normal(size=(*self.shape, 3))
        return self.change({"image": image, "labels": {"segmentation": classes, "depth": depth, "normals": normals}})


def form(item: dict, number: int) -> dict:
    """The same item in another form."""
    image, labels = item["image"], item["labels"]
    classes, depth, normals = labels["segmentation"], labels["depth"], labels["normals"]
    if number == 1:  # tensors, channels first
        image = torch.from_numpy(image).permute(2, 0, 1).float() / 255
        depth, normals = torch.from_numpy(depth)[None].float(), torch.from_numpy(normals).permute(2, 0, 1)
        classes = torch.from_numpy(classes).to(torch.int16)
    elif number == 2:  # pictures, and lists
        image, normals = Image.fromarray(image), normals.tolist()
        classes = Image.fromarray(np.where(classes == -1, 255, classes).astype(np.uint8))
        depth = Image.fromarray((depth * 1000).round().astype(np.uint16))
    elif number == 3:  # bytes and arrays, channels first; a palette
        image, normals = torch.from_numpy(image).permute(2, 0, 1), normals.transpose(2, 0, 1)
        palette = Image.frombytes("P", (64, 48), np.where(classes == -1, 255, classes).astype(np.uint8).tobytes())
        palette.putpalette([9, 9, 9] * 256)
        classes, depth = palette, depth[..., None]
    return {"image": image, "labels": {"segmentation": classes, "depth": depth, "normals": normals}}


class TestOwn(SourceTester):
    @pytest.fixture
    def source(self) -> DataSource:
        return FromDataset(Own(), KINDS)


class TestWithValAndSize(SourceTester):
    size = (24, 40)

    @pytest.fixture
    def source(self) -> DataSource:
        return FromDataset(Own(3), KINDS, Own(2, shape=(30, 50)), size=self.size, cache=True, name="two sizes")


class TestHeldOut(SourceTester):
    @pytest.fixture
    def source(self) -> DataSource:
        return HoldOut(FromDataset(Own(12), KINDS))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_form_is_the_same_data(number: int) -> None:
    plain = FromDataset(Own(), KINDS).split("train")[3]
    other = FromDataset(Own(change=lambda item: form(item, number)), KINDS).split("train")[3]
    assert torch.equal(plain["image"], other["image"])
    assert torch.equal(plain["labels"]["segmentation"], other["labels"]["segmentation"])
    for t in ("depth", "normals"):
        torch.testing.assert_close(plain["labels"][t], other["labels"][t], rtol=1e-5, atol=1e-5)


def test_files_may_stand_for_what_they_hold(tmp_path: Path) -> None:
    item = Own()[0]
    Image.fromarray(item["image"]).save(tmp_path / "image.png")
    np.save(tmp_path / "depth.npy", item["labels"]["depth"])
    paths = {"image": tmp_path / "image.png", "labels": {"depth": tmp_path / "depth.npy"}}
    found = FromDataset(Own(change=lambda _: paths), {"depth": DepthLabel()}, Own(1)).split("train")[0]
    plain = FromDataset(Own(), KINDS, Own(1)).split("train")[0]
    assert torch.equal(found["image"], plain["image"])
    assert torch.equal(found["labels"]["depth"], plain["labels"]["depth"])


@pytest.mark.parametrize("value", [3, 3.0, np.int32(3), np.array([3]), torch.tensor(3), torch.tensor([3]), [3], True])
def test_a_class_may_be_any_number(value: object) -> None:
    label = ClassLabel().take(value, "here")
    assert label.dtype == torch.int64
    assert label.shape == ()
    assert int(label) == int(np.asarray(value).item())


@pytest.mark.parametrize("value", [2.5, np.float32(2.5), [2.5], torch.tensor([2.5]), np.array([[2.5]])])
def test_numbers_may_be_one(value: object) -> None:
    assert torch.equal(NumbersLabel().take(value, "here"), torch.tensor([2.5]))


def test_several_numbers_and_no_number() -> None:
    found = NumbersLabel().take([1, float("nan"), 0], "here")
    assert torch.equal(found.nan_to_num(7), torch.tensor([1.0, 7.0, 0.0]))
    assert torch.equal(NumbersLabel().take(torch.ones(2, dtype=torch.bfloat16), "here"), torch.ones(2))


def test_labels_may_be_missing() -> None:
    def without(item: dict) -> dict:
        return {**item, "labels": {"segmentation": item["labels"]["segmentation"], "depth": None}}

    source = FromDataset(Own(change=without), KINDS)
    source.check(KINDS)
    assert set(source.split("train")[0]["labels"]) == {"segmentation"}


def test_a_sample_is_a_copy() -> None:
    image = torch.rand(3, 8, 8)
    source = FromDataset(Own(2, lambda _: {"image": image, "labels": {}}), KINDS, Own(1))
    source.split("train")[0]["image"].zero_()
    assert image.any()
    image.requires_grad_()
    assert not source.split("train")[1]["image"].requires_grad
    read_only = np.broadcast_to(np.float32(0.5), (4, 4, 3))  # torch would warn of memory that is not to be written to
    source = FromDataset(Own(2, lambda _: {"image": read_only, "labels": {}}), KINDS, Own(1))
    assert torch.equal(source.split("train")[0]["image"], torch.full((3, 4, 4), 0.5))


def test_a_fixed_part_is_held_out() -> None:
    def where(**arguments: float) -> list[str]:
        test = FromDataset(Own(20), KINDS, **arguments).split("test")
        return [test.where(i) for i in range(len(test))]

    source = FromDataset(Own(20), KINDS)
    names = [source.split(s).where(i) for s in ("train", "test") for i in range(len(source.split(s)))]
    assert sorted(names) == sorted(f"data.train[{i}]" for i in range(20))
    assert len(where()) == 4
    assert where() == where() != where(holdout_seed=1)
    assert len(where(holdout=0.5)) == 10


def test_the_fingerprint_sees_samples_lengths_and_arguments() -> None:
    def darker(item: dict) -> dict:
        return {**item, "image": item["image"] // 2}

    def deeper(item: dict) -> dict:
        return {**item, "labels": {**item["labels"], "depth": item["labels"]["depth"] + 1}}

    sources = [
        FromDataset(Own(), KINDS),
        FromDataset(Own(11), KINDS),
        FromDataset(Own(), KINDS, Own(2)),
        FromDataset(Own(), KINDS, Own(3)),
        FromDataset(Own(change=darker), KINDS),
        FromDataset(Own(change=deeper), KINDS),
        FromDataset(Own(), {**KINDS, "depth": DepthLabel(0.1)}),
        FromDataset(Own(), KINDS, size=(8, 8)),
        FromDataset(Own(), KINDS, holdout_seed=1),
        FromDataset(Own(), KINDS, version="1"),
        FromDataset(Own(), KINDS, version="2"),
    ]
    assert len({source.fingerprint() for source in sources}) == len(sources)
    assert FromDataset(Own(), KINDS, name="mine", cache=True).fingerprint() == sources[0].fingerprint()


def test_with_a_version_no_sample_is_read() -> None:
    def unread(item: dict) -> None:
        pytest.fail("a sample was read")

    source = FromDataset(Own(change=unread), KINDS, version="1")
    assert source.fingerprint() == FromDataset(Own(), KINDS, version="1").fingerprint()


def test_what_is_random_is_refused() -> None:
    def noisy(item: dict) -> dict:
        return {**item, "image": torch.rand(3, 48, 64)}

    with pytest.raises(ValueError, match=r"data.train\[0\]: expected the same sample .*; take what is random out"):
        FromDataset(Own(change=noisy), KINDS).check(["depth"])


def test_samples_go_to_other_processes() -> None:
    split = FromDataset(Own(), KINDS, cache=True).split("test")
    assert torch.equal(pickle.loads(pickle.dumps(split))[0]["image"], split[0]["image"])


def label(task: str, value: object) -> Callable[[dict], dict]:
    return lambda item: {"image": item["image"], "labels": {task: value}}


def image(value: object) -> Callable[[dict], dict]:
    return lambda item: {**item, "image": value}


WRONG: dict[str, tuple[Callable[[dict], object], str]] = {
    "a pair": (lambda item: (item["image"], 3), r'\[0\]: expected {"image": ..., "labels": .*}, found tuple; wrap'),
    "other keys": (lambda item: {"pixels": 0, "label": 1}, r"\[0\]: expected .* found the keys pixels, label; wrap"),
    "labels without names": (lambda item: {**item, "labels": 3}, r"\[0\]: expected .*, found the keys image, labels;"),
    "a name": (label("albedo", 3), r"\[0\]: expected labels of segmentation, depth, normals, .*; found `albedo`; name"),
    "no image": (image(None), r"\[0\]: expected a picture or an array of numbers, found NoneType None; correct"),
    "a file's name": (image("1.png"), r"\[0\]: expected a picture .* found str '1.png'; correct"),
    "channels": (image(np.zeros((4, 5, 2))), r"\[0\]: expected an RGB image \[H, W, 3\], found an array \[4, 5, 2\];"),
    "range": (image(np.full((4, 5, 3), 255)), r"\[0\]: expected bytes \(uint8\) or floats in 0..1, found int64"),
    "no number": (image(np.full((4, 5, 3), np.nan)), r"\[0\]: expected an image in 0..1"),
    "nothing": (image(np.zeros((0, 5, 3))), r"\[0\]: expected .* found an array \[0, 5, 3\] of float64; correct"),
    "objects": (image(np.array([object()])), r"\[0\]: expected .*, found an array \[1\] of object; correct"),
    "a complex number": (label("number", 1j), r"label `number`: expected .*, found complex 1j; correct"),
    "ragged": (
        label("number", [[1, 2], [3]]),
        r"label `number`: expected .*, found setting an array element .*; correct",
    ),
    "text": (label("class", np.array("cat")), r"label `class`: expected .*, found an array \[\] of <U3; correct"),
    "two classes": (label("class", [1, 2]), r"label `class`: expected the number of a class, found \[1, 2\]; write"),
    "half a class": (label("class", 0.5), r"label `class`: expected whole class numbers, found 0.5; write one whole"),
    "an unknown class": (label("class", float("nan")), r"label `class`: expected whole class numbers, found nan; "),
    "another size": (
        label("depth", np.ones((24, 32))),
        r"label `depth`: expected the size of its image, 48x64, found 24x32; resize",
    ),
    "three depths": (label("depth", np.ones((48, 64, 3))), r"label `depth`: expected distances \[H, W\], found .*3\];"),
    "half classes": (label("segmentation", np.full((48, 64), 0.5)), r"`segmentation`: expected whole .* found 0.5;"),
    "an error": (lambda item: item["depth"], r"\[0\]: expected a sample, found KeyError: 'depth'; correct the dataset"),
    "no message": (
        lambda item: next(iter(())),
        r"\[0\]: expected a sample, found StopIteration: StopIteration; correct",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_sample_is_one_line(name: str) -> None:
    change, line = WRONG[name]
    kinds = {**KINDS, "class": ClassLabel(), "number": NumbersLabel()}
    with pytest.raises(ValueError, match=rf"^data\.train{'.*' if '`' in line else ''}{line}") as error:
        FromDataset(Own(change=change), kinds, Own()).check(["depth"])
    assert "\n" not in str(error.value)


class Endless(IterableDataset):
    def __iter__(self) -> object:
        return iter(())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": Endless()}, "data.train: expected a dataset with a length and an index, found Endless; make it"),
        ({"train": Own(), "test": 3}, "data.test: expected a dataset with a length and an index, found int"),
        ({"train": Own(), "holdout": 1.0}, "data.holdout: expected a part between 0 and 1, found 1.0"),
        ({"train": Own(), "size": (0, 4)}, r"data.size: expected height and width of at least 1, found \(0, 4\)"),
        ({"train": Own(0)}, "data: expected samples for train, found none; change data.holdout"),
        ({"train": Own(2)}, "data: expected samples for test, found none; change data.holdout"),
        ({"train": Own(2), "test": Own(0)}, "data: expected samples for test, found none; add some"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        FromDataset(modalities=KINDS, **arguments).check(["depth"])
    assert "\n" not in str(error.value)


def test_a_source_within_a_source() -> None:
    inner = FromDataset(Own(), KINDS)
    sample = FromDataset(inner.split("train"), KINDS, inner.split("test")).split("train")[2]
    plain = inner.split("train")[2]
    assert torch.equal(sample["image"], plain["image"])
    for t, x in plain["labels"].items():
        torch.testing.assert_close(sample["labels"][t], x)


def test_an_index_beyond_the_end_ends_an_iteration() -> None:
    assert len(list(FromDataset(Own(3), KINDS, Own(1)).split("train"))) == 3


def test_an_error_that_says_what_to_do_is_not_wrapped_in_advice() -> None:
    def fail(item: object) -> object:
        raise UserError("a.png: expected at most 10 pixels, found 20; make it smaller")

    source = FromDataset(Own(change=fail), KINDS)
    with pytest.raises(UserError, match=r"^data\.train\[\d\]: a\.png: expected .* found 20; make it smaller$"):
        source.split("train")[0]
