import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from tests.data.digit_files import classes, pixels, write_mnist, write_raw_mnist
from tests.data.source_tester import SourceTester

from tutelage.data import DataSource, HoldOut, MultiMnist, OverlaidDigits
from tutelage.data.digits.arrays import resized
from tutelage.images import resize_image
from tutelage.tasks import Classification
from tutelage.types import Task

TASKS: Mapping[str, Task] = {"left": Classification(10), "right": Classification(10)}


class TestOverlaidDigits(SourceTester):
    size, tasks = (20, 24), TASKS

    @pytest.fixture
    def source(self) -> DataSource:
        return OverlaidDigits(train=5, test=3, size=self.size)


class TestMultiMnist(SourceTester):
    size, tasks = (28, 28), TASKS

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource:
        return MultiMnist(write_mnist(tmp_path), train=5, test=3)


class TestHeldOut(SourceTester):
    size, tasks = (20, 20), TASKS

    @pytest.fixture
    def source(self) -> DataSource:
        return HoldOut(OverlaidDigits(train=10, test=3), part=0.4)


def overlaid(a: np.ndarray, b: np.ndarray, canvas: int, shift: int) -> np.ndarray:
    """Pixel by pixel."""
    image = np.zeros((canvas, canvas), np.uint8)
    for y in range(canvas):
        for x in range(canvas):
            u, v = y - shift, x - shift
            first = a[y, x] if y < len(a) and x < len(a) else 0
            second = b[u, v] if 0 <= u < len(b) and 0 <= v < len(b) else 0
            image[y, x] = max(first, second)
    return image


def held_out() -> set[int]:
    """The digits of `test`: a fifth by the rank of a hash."""
    hashed = {i: blake2b(f"digits/{i}".encode(), digest_size=8).digest() for i in range(1797)}
    return set(sorted(hashed, key=hashed.__getitem__)[:359])


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_image_is_the_maximum_of_two_digits_in_two_corners(split: str) -> None:
    samples = OverlaidDigits(train=6, test=6, size=(10, 10), seed=3).split(split)
    digits, labels = load_digits(return_X_y=True)
    digits = np.round(digits.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    held = held_out()
    of_split = [i for i in range(1797) if (i in held) == (split == "test")]
    for i in range(6):
        rng = np.random.default_rng([3, ("train", "test").index(split), i])
        left, right = (of_split[k] for k in rng.integers(len(of_split), size=2))
        expected = torch.from_numpy(overlaid(digits[left], digits[right], 10, 2)).float() / 255
        assert torch.equal(samples[i]["image"], expected.expand(3, -1, -1))
        assert (int(samples[i]["labels"]["left"]), int(samples[i]["labels"]["right"])) == (labels[left], labels[right])


def test_no_digit_of_val_occurs_in_train() -> None:
    for seed in (0, 1):  # which digits are whose is no question of the seed
        source = OverlaidDigits(seed=seed)
        train, test = (source.digits(split)[0].flatten(1) for split in ("train", "test"))
        assert (len(train), len(test)) == (1438, 359)
        assert not (train[:, None] == test[None]).all(2).any()
    _, classes = source.digits("test")
    assert torch.bincount(classes).min() > 20


def test_an_image_is_a_function_of_seed_split_and_index() -> None:
    a, b, c = OverlaidDigits(train=9, test=9), OverlaidDigits(train=4, test=2), OverlaidDigits(train=4, test=2, seed=1)
    assert torch.equal(a.split("train")[3]["image"], b.split("train")[3]["image"])
    others = [b.split("train")[2], a.split("test")[3], c.split("train")[3]]
    assert not any(torch.equal(b.split("train")[3]["image"], other["image"]) for other in others)


def test_the_first_image_is_the_one_it_always_was() -> None:
    """A change of the images must raise `_VERSION`: results of the two cannot be compared."""
    sample = OverlaidDigits(train=1, test=1).split("train")[0]
    found = [int(sample["labels"]["left"]), int(sample["labels"]["right"]), float(sample["image"].mean())]
    assert found == pytest.approx([4, 9, 0.329922], rel=1e-5)


def test_left_and_right_say_nothing_about_each_other() -> None:
    labels = OverlaidDigits(train=4000, test=1).split("train").labels
    joint = torch.zeros(10, 10).index_put_((labels["left"], labels["right"]), torch.ones(4000), accumulate=True)
    expected = joint.sum(1, keepdim=True) * joint.sum(0) / 4000
    assert float(((joint - expected) ** 2 / expected).sum()) < 126  # chi-squared with 81 degrees of freedom, p = 0.001


@pytest.mark.parametrize("write", [write_mnist, write_raw_mnist])
def test_multi_mnist_is_made_of_mnists_own_splits(write: object, tmp_path: Path) -> None:
    source = MultiMnist(write(tmp_path), train=4, test=4, size=(36, 36), seed=1)
    source.check(["left", "right"])
    for index, (split, n) in enumerate({"train": 40, "test": 20}.items()):
        samples = source.split(split)
        for i in range(4):
            left, right = np.random.default_rng([1, index, i]).integers(n, size=2)
            digits = pixels(n, 28, 28)
            expected = torch.from_numpy(overlaid(digits[left], digits[right], 36, 6)).float() / 255
            assert torch.equal(samples[i]["image"][2], expected)
            assert int(samples[i]["labels"]["right"]) == classes(n)[right]


def test_another_size_is_that_of_images_and_stays_bytes() -> None:
    images = torch.from_numpy(pixels(5, 2, 9, 7))
    found = resized(images, (5, 12))
    assert (found.dtype, found.shape) == (torch.uint8, (5, 2, 5, 12))
    for image, small in zip(images, found, strict=True):
        assert torch.equal(small, (resize_image(image.float() / 255, (5, 12)) * 255).round().byte())
    assert torch.equal(resized(images / 255, (5, 12))[3], resize_image(images[3] / 255, (5, 12)))


def test_many_images_are_resized_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.from_numpy(pixels(7, 1, 6, 6))
    whole = resized(images, (9, 9))
    monkeypatch.setattr("tutelage.data.digits.arrays._CHUNK", 3)
    assert torch.equal(resized(images, (9, 9)), whole)


def test_the_fingerprint_has_arguments_and_files(tmp_path: Path) -> None:
    sources = [OverlaidDigits(), OverlaidDigits(train=9), OverlaidDigits(test=9), OverlaidDigits(seed=1)]
    sources += [
        OverlaidDigits(size=(8, 8)),
        MultiMnist(write_mnist(tmp_path / "a")),
        MultiMnist(tmp_path / "a", seed=1),
    ]
    sources += [MultiMnist(write_mnist(tmp_path / "b", train=41))]
    assert len({source.fingerprint() for source in sources}) == len(sources)
    before = sources[-1].fingerprint()
    (tmp_path / "b").rename(tmp_path / "c")
    assert MultiMnist(tmp_path / "c").fingerprint() == before


@pytest.mark.parametrize("arguments", [{"train": 0}, {"test": -1}, {"size": (0, 8)}, {"seed": -1}])
def test_mistakes(arguments: dict) -> None:
    with pytest.raises(ValueError, match=r"data\.\w+: expected at least [01], found"):
        OverlaidDigits(**arguments)


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    for use in (lambda: OverlaidDigits().check(["left"]), lambda: OverlaidDigits().split("test")):
        with pytest.raises(ValueError, match=r"^data: expected the library sklearn, found none; pip install 'tutelage"):
            use()


def test_without_files(tmp_path: Path) -> None:
    message = r"^data.root: expected mnist.npz in .*, found no such file; download https://.*mnist.npz there$"
    with pytest.raises(ValueError, match=message):
        MultiMnist(tmp_path).check(["left"])


def test_real_mnist() -> None:
    if "TUTELAGE_DATA" not in os.environ:
        pytest.skip("set TUTELAGE_DATA to a folder with digits/mnist.npz to test with real images")
    source = MultiMnist(Path(os.environ["TUTELAGE_DATA"]) / "digits", train=200, test=200, size=(36, 36))
    source.check(["left", "right"])
    images = source.split("train").images.float()
    assert images[:, :, :6, 28:].max() == 0  # the corners where neither digit is
    assert images[:, :, 28:, :6].max() == 0
    assert images[:, :, 34:].max() == 0
    assert torch.bincount(source.split("test").labels["left"]).min() > 5
