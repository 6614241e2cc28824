import math

import numpy as np
import pytest
import torch
from tests.data.source_tester import TASKS, SourceTester

from tutelage.data import DataSource, Rooms
from tutelage.data.rooms.render import _FOCAL, render
from tutelage.data.rooms.scene import Scene, furnish
from tutelage.data.rooms.solids import CLASSES, FLOOR, OBJECTS, WALL, Solid
from tutelage.tasks.palette import NYU13


class TestRooms(SourceTester):
    @pytest.fixture
    def source(self) -> DataSource:
        return Rooms(train=3, test=2, size=self.size)


def test_deterministic_by_seed_split_and_index() -> None:
    a, b = Rooms(train=4, test=2, size=(32, 32)), Rooms(train=9, test=2, size=(32, 32))
    assert torch.equal(a.split("train")[3]["image"], b.split("train")[3]["image"])
    others = [a.split("train")[2], a.split("test")[0], Rooms(train=4, test=2, size=(32, 32), seed=1).split("train")[3]]
    assert not any(torch.equal(a.split("train")[3]["image"], other["image"]) for other in others)


def test_the_first_room_is_the_one_it_always_was() -> None:
    """A change of the scenes or of the renderer must raise `_VERSION`: results of the two cannot be compared."""
    sample = Rooms(train=1, test=1, size=(24, 32)).split("train")[0]
    labels = sample["labels"]
    found = [float(labels["depth"].mean()), float(labels["segmentation"].float().mean()), float(sample["image"].mean())]
    assert found == pytest.approx([3.205124, 8.248698, 0.528169], rel=1e-5)


def test_any_size_shows_the_same_view() -> None:
    small, large = (Rooms(train=1, test=1, size=size, holes=False).split("train")[0] for size in ((24, 32), (96, 128)))
    coarse = large["labels"]["segmentation"][2::4, 2::4]
    assert (coarse == small["labels"]["segmentation"]).double().mean() > 0.85
    depth = large["labels"]["depth"][0, 2::4, 2::4], small["labels"]["depth"][0]
    assert (depth[0] - depth[1]).abs().median() < 0.05


def test_a_solid_room_by_hand() -> None:
    """Camera axes, metres along the optical axis, and normals, on a room whose every number is known."""
    surfaces = [Solid((0, 0, 0), (0, 0, 0), label) for label in (FLOOR, 2, WALL, WALL, WALL, WALL)]
    ball = Solid((2.0, 1.5, 2.0), (0.5, 0.5, 0.5), OBJECTS, shape="cylinder")
    scene = Scene((4.0, 3.0, 5.0), surfaces, [ball], [((2.0, 2.8, 2.0), 1.0)], eye=(2.0, 1.5, 4.0))
    height, width = 61, 81
    _, labels, depth, normals = render(scene, (height, width), np.random.default_rng(0))
    middle = (height // 2, width // 2)
    assert labels[middle] == OBJECTS
    assert depth[middle] == pytest.approx(1.5, abs=1e-4)  # the cylinder's near side at z = 2.5, the eye at z = 4
    np.testing.assert_allclose(normals[middle], (0, 0, 1), atol=1e-3)  # towards the viewer
    assert depth[height // 2, 5] == pytest.approx(2.0 / ((width / 2 - 5.5) / (_FOCAL * width)), rel=1e-4)
    np.testing.assert_allclose(normals[height // 2, 5], (1, 0, 0), atol=1e-5)  # the left wall faces right
    np.testing.assert_allclose(normals[height // 2, -6], (-1, 0, 0), atol=1e-5)
    assert labels[-1, width // 2] == FLOOR
    np.testing.assert_allclose(normals[-1, width // 2], (0, 1, 0), atol=1e-5)  # up
    # Depth is along the optical axis, not along the ray: every pixel of the far wall is 4 m away.
    far = (labels == WALL) & (np.abs(normals[..., 2] - 1) < 1e-5)
    np.testing.assert_allclose(depth[far], 4.0, rtol=1e-5)
    assert far.sum() > 100


def test_normals_are_those_of_the_depth() -> None:
    """On flat ground, the cross product of neighbouring points is the normal."""
    rng = np.random.default_rng(5)
    height, width = 96, 128
    _, labels, depth, normals = render(furnish(rng), (height, width), rng)
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([(u - width / 2), -(v - height / 2), np.full_like(u, -_FOCAL * width)], -1) / (_FOCAL * width)
    points = rays * depth[..., None]
    across, down = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
    n = np.cross(down, across)
    n /= np.linalg.norm(n, axis=-1, keepdims=True)
    flat = np.ones((height - 2, width - 2), bool)
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        near = (slice(dy, height - 2 + dy), slice(dx, width - 2 + dx))
        flat &= (labels[near] == labels[1:-1, 1:-1]) & (np.abs(normals[near] - normals[1:-1, 1:-1]).max(-1) < 1e-6)
    flat &= np.isin(labels[1:-1, 1:-1], (FLOOR, WALL))
    cosine = (n * normals[1:-1, 1:-1]).sum(-1)[flat]
    assert flat.mean() > 0.2
    assert np.median(cosine) > 1 - 1e-4
    assert (cosine > 0.999).mean() > 0.98


def test_classes_are_nyus_and_all_occur() -> None:
    assert list(CLASSES) == list(NYU13)
    source = Rooms(train=60, test=1, size=(48, 64))
    found = torch.cat([source.split("train")[i]["labels"]["segmentation"].flatten() for i in range(60)])
    counts = torch.bincount(found[found >= 0], minlength=13)
    assert (counts > 0.002 * len(found)).all()
    assert counts.max() < 0.6 * len(found)


def test_four_classes_are_parts_of_the_thirteen() -> None:
    """Those of Silberman et al. (2012): floor, structure, furniture, props."""
    fine, coarse = (Rooms(train=20, test=1, size=(48, 64), classes=classes).split("train") for classes in (13, 4))
    parts: dict[int, set[int]] = {}
    for a, b in ((fine[i], coarse[i]) for i in range(20)):
        assert torch.equal(a["image"], b["image"])
        pairs = torch.stack([a["labels"]["segmentation"], b["labels"]["segmentation"]]).flatten(1).unique(dim=1)
        for part, whole in pairs.T.tolist():
            parts.setdefault(whole, set()).add(part)
    names = {whole: {CLASSES[part] for part in found} for whole, found in parts.items() if whole >= 0}
    assert parts[-1] == {-1}
    assert names == {
        0: {"floor"},
        1: {"ceiling", "wall", "window"},
        2: {"bed", "chair", "furniture", "sofa", "table"},
        3: {"books", "objects", "painting", "tv"},
    }


def test_classes_are_part_of_the_fingerprint_where_they_are_others() -> None:
    """Studies that began before there were 4 classes continue."""
    thirteen, four = Rooms(train=4, test=2, size=(8, 8)), Rooms(train=4, test=2, size=(8, 8), classes=4)
    assert thirteen.fingerprint() == "d5a0cee70156073c" != four.fingerprint()
    assert thirteen.origin() != four.origin()
    assert thirteen.split("train").stamp(0) != four.split("train").stamp(0)


def test_holes_leave_pixels_without_labels() -> None:
    with_holes, without = (Rooms(train=1, test=1, size=(48, 64), holes=h).split("train")[0] for h in (True, False))
    assert torch.equal(with_holes["image"], without["image"])
    for t, label in without["labels"].items():
        assert TASKS[t].collate([label], without["image"][None]).valid.all()
        share = TASKS[t].collate([with_holes["labels"][t]], with_holes["image"][None]).valid.double().mean()
        assert 0.5 < share < 1


def test_the_camera_sees_a_room() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scene = furnish(rng)
        image, _, depth, normals = render(scene, (24, 32), rng)
        assert np.isfinite(image).all()
        assert 0.05 < depth.min() < depth.max() < math.dist((0, 0, 0), scene.extent)
        assert image.std() > 0.04
        u, v = np.meshgrid(np.arange(32) + 0.5, np.arange(24) + 0.5)
        rays = np.stack([(u - 16), -(v - 12), np.full_like(u, -_FOCAL * 32)], -1)
        assert ((rays * normals).sum(-1) < 1e-3).all(), seed  # no surface is seen from behind


def test_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Rooms\.classes: expected one of 13, 4, found `5`"):
        Rooms(classes=5)


@pytest.mark.parametrize("arguments", [{"train": 0}, {"test": -1}, {"size": (0, 64)}])
def test_mistakes(arguments: dict) -> None:
    with pytest.raises(ValueError, match=r"data\.\w+: expected at least 1, found"):
        Rooms(**arguments)


def test_a_negative_seed_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"data\.seed: expected a whole number of at least 0, found -1"):
        Rooms(seed=-1)
