import copy

import torch
from tests.distill import tiny
from torch import nn

from tutelage.distill import FeatureDistiller, LogitDistiller, SumDistiller, Teacher, Teachers
from tutelage.distill.teachers import labels_by_teacher


class Enclosing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.teachers = Teachers(tiny.teachers())
        self.other = nn.Linear(2, 2)


def test_frozen_and_always_eval() -> None:
    nets = tiny.teachers()
    for net in nets.values():
        net.train()
    teachers = Teachers(nets)
    teachers.train()
    nn.ModuleList([teachers]).train()
    for net in nets.values():
        assert not any(module.training for module in net.modules())
        assert not any(p.requires_grad for p in net.parameters())


def test_no_teacher_in_the_enclosing_state() -> None:
    module = Enclosing()
    assert list(module.state_dict()) == ["other.weight", "other.bias"]
    assert len(list(module.parameters())) == 2
    module.load_state_dict(copy.deepcopy(module.state_dict()), strict=True)


def test_moves_with_the_enclosing_module() -> None:
    module = Enclosing().to(torch.float64)
    taps = module.teachers(torch.rand(1, 3, 4, 4, dtype=torch.float64), "colour")
    assert taps["last"].dtype == torch.float64


def test_taps_without_gradient_or_heads() -> None:
    nets = tiny.teachers()
    heads: list[object] = []
    nets["height"].heads["height"].register_forward_hook(lambda *args: heads.append(args))
    images = torch.rand(2, 3, 4, 6, requires_grad=True)
    taps = Teachers(nets)(images, "height")
    assert not heads
    assert not any(feature.requires_grad for feature in taps.values())
    torch.testing.assert_close(taps["last"], nets["height"](images).taps["last"], rtol=0, atol=0)


def test_own_images_of_several_tasks_have_a_label_of_any_of_them() -> None:
    both = Teacher("both", tiny.student(), ("colour", "height"))
    teachers = Teachers({"both": both, "colour": tiny.teachers()["colour"]}, teach="own")
    batch = tiny.batch(size=4)
    batch.labelled = {
        "colour": torch.tensor([True, False, False, False]),
        "height": torch.tensor([False, False, True, False]),
    }
    assert teachers.images(batch, "both").tolist() == [0, 2]
    assert teachers.images(batch, "colour").tolist() == [0]
    assert teachers.counts(batch) == {"both": 2, "colour": 1}
    del batch.labelled["height"]
    assert teachers.images(batch, "both").tolist() == [0]


def test_what_a_teacher_sees_is_its_own_choice_first() -> None:
    nets = tiny.teachers()
    named = {t: Teacher(t, net, (t,), sees="all" if t == "height" else None) for t, net in nets.items()}
    teachers = Teachers(named, teach="own")
    assert teachers.labels("colour") == ("colour",)
    assert teachers.labels("height") is None
    assert teachers.teach == "all"  # one of them does
    assert Teachers(nets, teach="own").teach == "own"
    assert teachers.images(tiny.batch(), "height") is None


def test_labels_of_every_teacher_of_a_distiller() -> None:
    nets, example = tiny.teachers(), torch.zeros(1, 3, 4, 6)
    teachers = {**nets, "dino": Teacher("dino", tiny.Tiny({}), (), sees="all"), "unused": nets["colour"]}
    parts = [
        lambda *args: FeatureDistiller(*args, {"last": "last"}, teach="own", only=["colour", "dino"]),
        lambda *args: LogitDistiller(*args, teach="own", only=["colour", "height"]),
    ]
    distiller = SumDistiller(tiny.student(), teachers, example, parts)
    assert distiller.teach == "all"  # because of one of them
    assert labels_by_teacher(distiller) == {"colour": ("colour",), "dino": None, "height": ("height",)}
