"""What belongs to the name of a sample, and what to that of its kind."""

import pytest

from tutelage.propose.names import Affix, affixes, common_affixes, says_image, split_word


@pytest.mark.parametrize(
    ("stems", "found"),
    [
        (["1", "1_mask", "2", "2_mask"], {"": "12", "_mask": "12"}),
        (["1", "1mask", "2", "2mask"], {"": "12", "mask": "12"}),
        (["1_rgb", "1_gt", "2_rgb", "2_gt"], {"_rgb": "12", "_gt": "12"}),
        (["1", "1_m", "1_m_old", "2", "2_m", "2_m_old"], {"": "12", "_m": "12", "_m_old": "12"}),
        (["a", "b", "c_d"], {"": ["a", "b", "c_d"]}),
        (["photo_a", "photo_b"], {"": ["photo_a", "photo_b"]}),
        (["a_1", "a_2", "b_1", "b_3"], {"": ["a_1", "a_2", "b_1", "b_3"]}),
    ],
)
def test_ends(stems: list[str], found: dict[str, list[str]]) -> None:
    groups: dict[str, list[str]] = {}
    for stem, affix in affixes(stems).items():
        groups.setdefault(affix.tail, []).append(stem.removesuffix(affix.tail))
    assert {tail: sorted(keys) for tail, keys in groups.items()} == {k: sorted(v) for k, v in found.items()}


def test_beginnings() -> None:
    assert affixes(["rgb_1", "rgb_2", "gt_1", "gt_2"])["gt_2"] == Affix(head="gt_")
    assert affixes(["img1", "img2", "mask1", "mask2"])["mask2"] == Affix(head="mask")


def test_what_all_names_share() -> None:
    assert common_affixes(["a_1_left8bit", "b_2_left8bit"])[:2] == [Affix(), Affix(tail="bit")]
    assert Affix(tail="_left8bit") in common_affixes(["a_1_left8bit", "b_2_left8bit"])
    assert Affix(head="x_") in common_affixes(["x_1", "x_2"])
    assert common_affixes(["x_1"]) == [Affix()]


def test_words() -> None:
    assert split_word("train_images") == ("train", "train")
    assert split_word("Validation") == ("Validation", "val")
    assert split_word("trainer") is None
    assert [says_image(name) for name in ("JPEGImages", "image_mask", "a")] == [1, -1, 0]
