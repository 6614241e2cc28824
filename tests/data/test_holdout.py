from pathlib import Path

import numpy as np
import pytest
import torch
from tests.data.source_tester import SourceTester
from tests.data.test_folders import numbers, write

from tutelage.data import DataSource, HoldOut, NYUv2, Rooms, Samples
from tutelage.data.base import Split
from tutelage.data.fingerprint import fingerprint_of_text, identity
from tutelage.data.holdout import WithoutValidation
from tutelage.data.samples import Around
from tutelage.types import Sample


class TestHoldOut(SourceTester):
    @pytest.fixture
    def source(self) -> DataSource:
        return HoldOut(Rooms(train=5, test=2, size=self.size), part=0.4)


class Blind(Rooms):
    """Its test is not to be read."""

    def split(self, split: Split) -> Samples:
        assert split == "train"
        return super().split(split)


def test_the_parts_are_all_of_train_and_nothing_of_val() -> None:
    source = Blind(train=20, test=7, size=(32, 32))
    held = HoldOut(source)
    held.check(source.modalities)
    train, test = held.split("train"), held.split("test")
    assert (len(train), len(test)) == (16, 4)
    means = [float(part[i]["image"].mean()) for part in (train, test) for i in range(len(part))]
    assert sorted(means) == sorted(float(source.split("train")[i]["image"].mean()) for i in range(20))
    assert (held.name, held.modalities, held.trusted) == (source.name, source.modalities, source.trusted)


def test_the_part_is_a_function_of_the_seed() -> None:
    source = Rooms(train=20, test=1, size=(32, 32))

    def where(seed: int, part: float = 0.2) -> list[str]:
        test = HoldOut(source, part, seed).split("test")
        return [test.where(i) for i in range(len(test))]

    assert where(0) == where(0) != where(1)
    assert set(where(0)) < set(where(0, part=0.5))  # by rank


def test_the_fingerprint_has_source_part_and_seed() -> None:
    sources = [Rooms(train=20, test=1), Rooms(train=20, test=1, seed=1), Blind(train=20, test=1)]
    held = [HoldOut(source, part, seed) for source in sources for part in (0.2, 0.3) for seed in (0, 1)]
    assert len({source.fingerprint() for source in held}) == 12


def test_files_are_named_as_they_are(tmp_path: Path) -> None:
    """Without a test/ the source's own held-out part stays out of both."""
    write(tmp_path / "train", numbers(10))
    source = NYUv2(tmp_path, size=(48, 64))
    held = HoldOut(source, part=0.25)
    held.check(source.modalities)
    parts = [held.split("train"), held.split("test"), source.split("test")]
    files = [Path(part.where(i)) for part in parts for i in range(len(part))]
    assert [len(part) for part in parts] == [6, 2, 2]
    assert sorted(files) == sorted((tmp_path / "train/image").iterdir())
    sample, same = held.split("test")[1], source.split("train")[source.split("train").stems.index(files[7].stem)]
    assert torch.equal(sample["image"], same["image"])
    assert parts[1].where(1, "depth") == str(tmp_path / f"train/depth/{files[7].stem}.png")


@pytest.mark.parametrize("part", [0, 1, -0.1, 2])
def test_a_part_is_between_0_and_1(part: float) -> None:
    with pytest.raises(ValueError, match=r"data.part: expected a part between 0 and 1, found"):
        HoldOut(Rooms(), part)


def test_both_parts_have_samples() -> None:
    with pytest.raises(ValueError, match=r"data.part: expected samples for test, found none: 0.1 of 4 .* are 0; add"):
        HoldOut(Rooms(train=4), part=0.1).check(["depth"])


class Sparse(Rooms):
    """Each image has the labels of some of eight tasks."""

    def split(self, split: Split) -> Samples:
        return Labelled(super().split(split))


class Labelled(Around):
    def __getitem__(self, index: int) -> Sample:
        return self.dataset[index]

    def tasks(self, index: int) -> set[str]:
        return {str(task) for task in np.random.default_rng(index).permutation(8)[: index % 5].tolist()}


@pytest.mark.parametrize("count", [100, 300])
def test_the_part_is_held_out_also_where_few_images_have_labels_of_the_same_tasks(count: int) -> None:
    held = HoldOut(Sparse(train=count, test=1, size=(8, 8)))
    assert len(held.split("test")) == count // 5
    assert len(held.split("train")) == count - count // 5


def test_the_fingerprint_says_where_earlier_versions_held_out_others() -> None:
    for source, others in ((Rooms(train=100, test=1), False), (Sparse(train=100, test=1), True)):
        for wrapped in (HoldOut(source), WithoutValidation(source, 0.2)):
            before = repr((identity(source), 0.2, 0 if isinstance(wrapped, HoldOut) else "validation"))
            assert (wrapped.fingerprint() != fingerprint_of_text(before)) == others


def test_a_mistake_in_the_source_has_the_key_that_the_user_knows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^data\.source\.root: expected a folder"):
        HoldOut(NYUv2(tmp_path / "nowhere")).check(["depth"])
