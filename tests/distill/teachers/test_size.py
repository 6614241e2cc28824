"""A teacher may see images of another size, to which they are resized once."""

import pytest
import torch
from tests.distill import tiny
from tests.distill.teachers.test_passes import TASKS, distil
from torch.nn import functional

from tutelage.distill import FeatureDistiller, LogitDistiller, Teacher
from tutelage.distill.teachers import passes
from tutelage.errors import UserError

MATCH = {"bottleneck": "bottleneck", "last": "last"}


def teachers(*sizes: tuple[int, int] | None) -> dict[str, Teacher]:
    pairs = zip(tiny.teachers().items(), sizes, strict=True)
    return {t: Teacher(t, network, (t,), size=size) for (t, network), size in pairs}


def test_it_is_run_on_images_of_its_size_which_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    student, batch, seen, resized = tiny.student().eval(), tiny.batch(), [], []
    named, resize = teachers((8, 12), (8, 12)), passes.resize
    distiller = FeatureDistiller(student, named, batch.images, MATCH, standardise=True)
    distiller.calibrate(lambda tasks: [batch.images])
    for teacher in named.values():
        teacher.network.register_forward_pre_hook(lambda net, given: seen.append(given[0]))
    monkeypatch.setattr(passes, "resize", lambda *given: resized.append(given) or resize(*given))
    assert {*distil(distiller, student, batch)} == {*TASKS}
    expected = functional.interpolate(batch.images, size=(8, 12), mode="bilinear", antialias=True)
    assert len(resized) == 1
    assert len(seen) == 2
    assert all(torch.equal(images, expected) for images in seen)


def test_a_term_is_that_of_resized_images() -> None:
    student, batch = tiny.student().eval(), tiny.batch()
    torch.manual_seed(0)
    distiller = FeatureDistiller(student, teachers((8, 12), None), batch.images, MATCH)
    values = distil(distiller, student, batch)
    torch.manual_seed(0)
    same = FeatureDistiller(student, teachers(None, None), batch.images, MATCH)
    assert values["height"] == distil(same, student, batch)["height"]
    assert values["colour"] != distil(same, student, batch)["colour"]


def test_the_images_that_it_sees_are_resized() -> None:
    student, batch = tiny.student().eval(), tiny.batch()
    batch.labelled = {"colour": torch.tensor([False, True]), "height": torch.tensor([True, True])}
    distiller = FeatureDistiller(student, teachers((8, 12), None), batch.images, MATCH, teach="own")
    assert {*distil(distiller, student, batch)} == {*TASKS}
    assert distiller.counts(batch) == {"colour": 1, "height": 2}


def test_sizes_that_do_not_fit_are_one_line() -> None:
    student, batch, network = tiny.student(), tiny.batch(), tiny.teachers()["height"]
    with pytest.raises(UserError, match=r"^teachers.height.size: expected height and width of at least 1, found"):
        Teacher("height", network, ("height",), size=(0, 3))
    with pytest.raises(UserError, match=r"^teachers.colour.size: expected none for LogitDistiller"):
        LogitDistiller(student, teachers((8, 12), None), batch.images)
    one = {"a": Teacher("a", network, ("height",), size=(8, 12)), "b": Teacher("b", network, ("height",))}
    with pytest.raises(UserError, match=r"expected one `size` for all teachers with the same network"):
        FeatureDistiller(student, one, batch.images, MATCH)
