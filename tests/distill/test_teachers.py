import copy

import torch
from tests.distill import tiny
from torch import nn

from tutelage.distill import Teachers


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


def test_per_task_taps_are_the_tasks_own() -> None:
    nets = tiny.teachers(per_task=True)
    images = torch.rand(2, 3, 4, 6)
    expected = nets["height"].eval()(images).taps["last"]["height"]
    torch.testing.assert_close(Teachers(nets)(images, "height")["last"], expected)
