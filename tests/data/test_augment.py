import pytest
import torch
from tests.data.source_tester import check_labels

from tutelage.data import Augment, ClassesLabel, DepthLabel, NormalsLabel
from tutelage.types import Sample, ViewKey

KINDS = {"segmentation": ClassesLabel(), "depth": DepthLabel(), "normals": NormalsLabel()}


def sample(height: int = 24, width: int = 36) -> Sample:
    generator = torch.Generator().manual_seed(0)
    n = torch.randn(3, height, width, generator=generator)
    return Sample(
        image=torch.rand(3, height, width, generator=generator),
        labels={
            "segmentation": torch.randint(-1, 5, (height, width), generator=generator),
            "depth": torch.rand(1, height, width, generator=generator) * 5,
            "normals": n / n.norm(dim=0),
        },
    )


def view(seed: int = 0, **kwargs: object) -> Sample:
    return Augment(**kwargs)(sample(), KINDS, torch.Generator().manual_seed(seed))


def test_nothing_is_the_image_as_it_is() -> None:
    found, expected = view(scales=[1.0], flip=0), sample()
    assert torch.equal(found["image"], expected["image"])
    assert all(torch.equal(found["labels"][t], x) for t, x in expected["labels"].items())


def test_a_flip_negates_x_and_twice_is_nothing() -> None:
    augment = Augment(scales=[1.0], flip=1)
    once = augment(sample(), KINDS, torch.Generator())
    before = sample()["labels"]
    assert torch.equal(once["image"], sample()["image"].flip(-1))
    assert torch.equal(once["labels"]["segmentation"], before["segmentation"].flip(-1))
    assert torch.equal(once["labels"]["depth"], before["depth"].flip(-1))
    assert torch.equal(once["labels"]["normals"][0], -before["normals"][0].flip(-1))
    assert torch.equal(once["labels"]["normals"][1:], before["normals"][1:].flip(-1))
    twice = augment(once, KINDS, torch.Generator())
    assert all(torch.equal(twice["labels"][t], x) for t, x in before.items())


@pytest.mark.parametrize("seed", range(6))
def test_a_zoom_divides_depth_and_cuts_one_window_of_everything(seed: int) -> None:
    found, before = view(seed, scales=[1.5], flip=0), sample()
    check_labels(found, KINDS, (24, 36))
    # The window is found by its depth, and the classes must come from the same place.
    depth, label = found["labels"]["depth"][0] * 1.5, found["labels"]["segmentation"]
    matches = [
        (top, left)
        for top in range(24 - 16 + 1)
        for left in range(36 - 24 + 1)
        if torch.allclose(depth[0, 0], before["labels"]["depth"][0, top, left])
    ]
    assert len(matches) == 1
    top, left = matches[0]
    rows, columns = (top + (torch.arange(24) + 0.5) / 1.5).long(), (left + (torch.arange(36) + 0.5) / 1.5).long()
    torch.testing.assert_close(depth, before["labels"]["depth"][0][rows][:, columns])
    assert torch.equal(label, before["labels"]["segmentation"][rows][:, columns])


def test_windows_and_flips_vary_and_depend_on_the_generator_alone() -> None:
    views = [view(seed)["image"] for seed in range(12)]
    assert len({float(x.sum()) for x in views}) > 8
    assert torch.equal(view(3)["image"], views[3])


def test_every_scale_and_both_sides_are_drawn_alike() -> None:
    flat = Sample(image=torch.rand(3, 6, 9), labels={"depth": torch.full((1, 6, 9), 6.0)})
    flat["labels"]["depth"][..., 0] = 3.0  # the left column is nearer
    seen = [Augment(flip=0.5)(flat, KINDS, torch.Generator().manual_seed(s))["labels"]["depth"] for s in range(600)]
    for scale in (1.0, 1.2, 1.5):
        assert sum(float(x.max()) == pytest.approx(6.0 / scale) for x in seen) == pytest.approx(200, abs=50)
    whole = [x for x in seen if float(x.max()) == 6.0]
    assert sum(float(x[0, 0, 0]) == 3.0 for x in whole) == pytest.approx(len(whole) / 2, abs=35)


def test_a_missing_label_stays_missing_and_holes_stay_holes() -> None:
    bare = sample()
    del bare["labels"]["depth"]
    bare["labels"]["normals"][:, :12] = 0
    bare["view"] = ViewKey(7, exact=False)
    found = Augment(scales=[1.5], flip=1)(bare, KINDS, torch.Generator().manual_seed(1))
    assert set(found["labels"]) == {"segmentation", "normals"}
    assert found["view"] == ViewKey(7, flipped=True, exact=False)
    check_labels(found, KINDS, (24, 36))


def test_a_scale_that_leaves_no_window() -> None:
    augment = Augment(scales=[1, 12])
    augment.check((32, 7))
    for seed in range(4):
        augment(sample(32, 7), KINDS, torch.Generator().manual_seed(seed))
    with pytest.raises(ValueError, match=r"1x1 of images of 32x6, found 3x0 at scale 12; lower it"):
        augment.check((32, 6))  # half a pixel is none


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"scales": [0.5]}, "scales"), ({"scales": []}, "scales"), ({"flip": 2}, "flip"), ({"views": 0}, "views")],
)
def test_mistakes(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"augment.{message}: expected"):
        Augment(**arguments)
