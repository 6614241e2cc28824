import random
from collections.abc import Collection

import pytest
import torch
from tests.data.plain import Plain
from tests.data.source_tester import SourceTester

from tutelage.data import DataSource, HideLabels, HoldOut, Rooms, Samples
from tutelage.data.fingerprint import fingerprint_of_text, identity
from tutelage.errors import UserError

HALF_AND_QUARTER = {"segmentation": 0.5, "depth": 0.25}


class TestHideLabels(SourceTester):
    @pytest.fixture
    def source(self) -> DataSource:
        return HideLabels(Rooms(train=4, test=2, size=self.size), {"depth": 0.5, "normals": 0.25})


class TestDisjoint(SourceTester):
    @pytest.fixture
    def source(self) -> DataSource:
        return HideLabels(Plain(4, 2, self.size), HALF_AND_QUARTER, disjoint=True)


def kept(samples: Samples) -> dict[str, list[int]]:
    """The images with a label of each task."""
    labels = [samples[i]["labels"] for i in range(len(samples))]
    return {t: [i for i, has in enumerate(labels) if t in has] for t in ("segmentation", "depth", "normals")}


def hidden(count: int, keep: dict[str, float], disjoint: bool = False, seed: int = 0) -> dict[str, list[int]]:
    return kept(HideLabels(Plain(count, size=(1, 1)), keep, disjoint, seed).split("train"))


@pytest.mark.parametrize("disjoint", [False, True])
@pytest.mark.parametrize("count", [4, 7, 23, 40])
def test_as_many_images_keep_a_label_as_the_part_says(count: int, disjoint: bool) -> None:
    for keep in (HALF_AND_QUARTER, {"depth": 0.3, "segmentation": 0.7}, {"depth": 1.0}, {"depth": 0.13}):
        found = hidden(count, keep, disjoint)
        for t, part in keep.items():
            if disjoint:  # the ends of the parts are rounded, so that together they are what they should be
                assert abs(len(found[t]) - part * count) < 1
            else:
                assert len(found[t]) == round(part * count)
        if disjoint:
            assert sum(len(found[t]) for t in keep) == round(sum(keep.values()) * count)
    assert hidden(count, {"depth": 0.3}, disjoint)["segmentation"] == list(range(count))  # not named: keeps all


def test_no_image_keeps_two_labels_that_are_disjoint_and_otherwise_some_do() -> None:
    keep = {"segmentation": 0.5, "depth": 0.5}
    disjoint, free = hidden(40, keep, disjoint=True), hidden(40, keep)
    assert sorted(disjoint["segmentation"] + disjoint["depth"]) == list(range(40))
    assert set(free["segmentation"]) & set(free["depth"])
    assert set(free["segmentation"]) != set(free["depth"])


def test_any_disjoint_parts_are_disjoint() -> None:
    dice = random.Random(0)
    for _ in range(200):
        first = dice.random()
        keep = {"depth": first, "segmentation": (1 - first) * dice.choice([1, dice.random()])}
        found = hidden(dice.randint(1, 30), keep, disjoint=True)
        assert not set(found["depth"]) & set(found["segmentation"])


def test_a_larger_part_has_the_images_of_a_smaller_one() -> None:
    before: set[int] = set()
    for part in (0.1, 0.25, 0.5, 0.9, 1.0):
        found = set(hidden(20, {"depth": part})["depth"])
        assert before < found
        before = found


def test_what_is_hidden_of_a_task_does_not_depend_on_the_other_tasks_nor_on_their_order() -> None:
    both = hidden(20, HALF_AND_QUARTER)
    assert both == hidden(20, dict(reversed(HALF_AND_QUARTER.items())))
    assert both["depth"] == hidden(20, {"depth": 0.25})["depth"]


def test_which_images_keep_a_label_is_a_hash_that_is_the_same_on_every_machine() -> None:
    """Literals: neither Python's hash of texts, which each process has its own of, nor torch's random numbers."""
    free, disjoint = hidden(12, HALF_AND_QUARTER), hidden(12, HALF_AND_QUARTER, disjoint=True)
    assert (free["segmentation"], free["depth"]) == ([0, 3, 4, 9, 10, 11], [3, 9, 10])
    assert (disjoint["segmentation"], disjoint["depth"]) == ([0, 4, 6, 9, 10, 11], [2, 5, 8])
    assert hidden(12, {"depth": 0.25}, seed=1)["depth"] == [1, 2, 6]


def test_images_and_labels_that_are_kept_are_the_sources_own_and_val_has_all() -> None:
    source = Plain(8, 5, lacks={"depth": [2]})
    changed = HideLabels(source, HALF_AND_QUARTER)
    for sample, own in zip(changed.split("train"), source.split("train"), strict=True):
        assert torch.equal(sample["image"], own["image"])
        assert all(torch.equal(label, own["labels"][t]) for t, label in sample["labels"].items())
    assert kept(changed.split("test")) == kept(source.split("test"))
    assert (changed.name, changed.modalities, changed.trusted) == (source.name, source.modalities, source.trusted)
    assert list(changed.parts()) == [source.name]
    assert changed.parts()[source.name].source is changed


@pytest.mark.parametrize("disjoint", [False, True])
def test_the_tasks_of_an_image_are_those_that_it_has_labels_of(disjoint: bool) -> None:
    source = Plain(20, lacks={"depth": [0, 7], "segmentation": [0]})
    train = HideLabels(source, HALF_AND_QUARTER, disjoint).split("train")
    for i in range(20):
        assert set(train.tasks(i) or ()) == set(train[i]["labels"])
    held = HoldOut(HideLabels(source, HALF_AND_QUARTER, disjoint))
    for split in ("train", "test"):
        for i in range(len(held.split(split))):
            assert set(held.split(split).tasks(i) or ()) == set(held.split(split)[i]["labels"])


def test_it_goes_around_another_source_for_the_tasks_that_this_has() -> None:
    changed = HideLabels(Plain(), HALF_AND_QUARTER, disjoint=True, seed=3)
    other = changed.wrap(Plain(tasks=["depth", "normals"]))
    assert (other.keep, other.disjoint, other.seed) == ({"depth": 0.25}, True, 3)


def test_the_fingerprint_has_the_source_and_all_that_says_what_is_kept() -> None:
    sources = [Plain(), Plain(seed=1)]
    keeps = [HALF_AND_QUARTER, {"depth": 0.25}, {"depth": 0.3}]
    found = {
        HideLabels(source, keep, disjoint, seed).fingerprint()
        for source in sources for keep in keeps for disjoint in (False, True) for seed in (0, 1)
    }  # fmt: skip
    assert len(found) == 24
    assert not found & {source.fingerprint() for source in sources}


@pytest.mark.parametrize(
    ("keep", "disjoint", "message"),
    [
        ({"hue": 0.5}, False, r"^data.keep.hue: expected a task with labels .* \(segmentation, depth\), found `hue`$"),
        ({"depth": 0.0}, False, r"^data.keep.depth: expected a part above 0 and up to 1, found 0.0$"),
        ({"depth": -0.5}, False, r"^data.keep.depth: expected a part above 0 and up to 1, found -0.5$"),
        ({"depth": 1.1}, False, r"^data.keep.depth: expected a part above 0 and up to 1, found 1.1$"),
        ({"depth": float("nan")}, False, r"^data.keep.depth: expected a part above 0 and up to 1, found nan$"),
        ({"depth": 0.6, "segmentation": 0.5}, True, r"^data.keep: expected disjoint parts .* 1 together, found 1.1; "),
    ],
)
def test_parts_that_cannot_be(keep: dict[str, float], disjoint: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        HideLabels(Plain(), keep, disjoint)
    assert "\n" not in str(error.value)


def test_parts_that_are_one_but_for_rounding_are_not_too_much() -> None:
    keep = {"segmentation": 0.33, "depth": 0.56, "normals": 0.11}
    assert sum(keep.values()) > 1
    source = Plain(100, size=(1, 1), tasks=list(keep))
    found = kept(HideLabels(source, keep, disjoint=True).split("train"))
    assert [len(images) for images in found.values()] == [33, 56, 11]


@pytest.mark.parametrize(
    ("count", "keep", "disjoint", "task"),
    [
        (2, {"depth": 0.25}, False, "depth"),
        (2, {"depth": 0.25}, True, "depth"),
        # 0.8 images are one, but between 0.6 and 1.4 there is none that is not the first one's
        (10, {"depth": 0.06, "segmentation": 0.08}, True, "segmentation"),
    ],
)
def test_a_part_that_is_no_image_at_all_is_refused(
    count: int, keep: dict[str, float], disjoint: bool, task: str
) -> None:
    assert hidden(count, keep, disjoint)[task] == []
    source = HideLabels(Plain(count), keep, disjoint)
    message = rf"^data.keep.{task}: expected some of the {count} training images .*, found {keep[task]} of"
    with pytest.raises(ValueError, match=message):
        source.check(["depth", "segmentation"])
    source.check([t for t in ("depth", "segmentation") if t != task])  # nobody asks for it


def test_the_part_is_of_the_images_that_have_the_label() -> None:
    source = Plain(20, lacks={"depth": [i for i in range(20) if i % 4]})
    shown = HideLabels(source, {"depth": 0.4, "segmentation": 0.5})
    found = kept(shown.split("train"))
    assert (len(found["depth"]), len(found["segmentation"])) == (2, 10)
    assert all(i % 4 == 0 for i in found["depth"])
    shown.check(["depth", "segmentation"])
    line = (
        r"data.keep.depth: expected some of the 5 training images with its label to keep it, found 0.05 of them, which"
    )
    with pytest.raises(UserError, match=line):
        HideLabels(source, {"depth": 0.05}).check(["depth"])


def test_only_sources_that_lack_labels_have_another_fingerprint_than_before() -> None:
    whole, sparse = Plain(20), Plain(20, lacks={"depth": [3]})
    for source, keep, disjoint, same in (
        (whole, {"depth": 0.5}, False, True),
        (sparse, {"depth": 0.5}, False, False),
        (sparse, {"segmentation": 0.5}, False, True),
        (sparse, {"depth": 0.5}, True, True),
    ):
        before = fingerprint_of_text(repr((identity(source), keep, disjoint, 0)))
        assert (HideLabels(source, keep, disjoint).fingerprint() == before) == same


def test_the_source_is_checked_first() -> None:
    class Wrong(Plain):
        def check(self, tasks: Collection[str]) -> None:
            raise UserError(f"data.root: wrong for {', '.join(tasks)}")

    with pytest.raises(ValueError, match=r"^data.source.root: wrong for depth$"):
        HideLabels(Wrong(), {"depth": 0.5}).check(["depth"])


def test_of_a_source_that_does_not_say_it_says_what_is_hidden_for_certain() -> None:
    source = Plain(20, known=False, lacks={"segmentation": [0, 7]})
    train = HideLabels(source, {"depth": 0.25}).split("train")
    for i in range(20):
        assert set(train.tasks(i) or ()) == {"segmentation", *({"depth"} & set(train[i]["labels"]))}


@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_held_out_has_its_share_of_every_label(seed: int) -> None:
    """Both rank the images by a hash of a seed, which may be the same one."""
    keep = {"segmentation": 0.25, "depth": 0.5}
    hidden = HideLabels(Plain(80, size=(1, 1)), keep, disjoint=True)
    test = kept(HoldOut(hidden, part=0.2, seed=seed).split("test"))
    assert {t: len(test[t]) for t in keep} == {"segmentation": 4, "depth": 8}
