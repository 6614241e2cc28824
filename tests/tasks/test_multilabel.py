import math

import pytest
import torch
from tests.tasks.base import IMAGES, WholeImageTaskTester, collate
from torch import Tensor

from tutelage.tasks import MultiLabel


class TestMultiLabel(WholeImageTaskTester):
    best = {"map": 100, "f1": 100}
    positions = (5,)

    @pytest.fixture
    def task(self) -> MultiLabel:
        return MultiLabel(5)

    def label(self, generator: torch.Generator) -> Tensor:
        return (torch.rand(IMAGES, 5, generator=generator) < 0.4).float()

    def perfect(self, label: Tensor) -> Tensor:
        return 50 * (2 * label.nan_to_num() - 1)

    def test_loss_is_binary_cross_entropy(self, task, raw, target) -> None:
        total = 0.0
        for image, c in target.valid.nonzero().tolist():
            p = 1 / (1 + math.exp(-raw[image, c].item()))
            total -= math.log(p if target.value[image, c] == 1 else 1 - p)
        assert task.loss(raw, target).sum.item() == pytest.approx(total, rel=1e-5)

    def test_imitating_is_cross_entropy_less_the_teachers_entropy(self, task, raw) -> None:
        taught, total = raw.detach().flip(0), 0.0
        for z, t in zip(raw.flatten().tolist(), taught.flatten().tolist(), strict=True):
            q, p = (1 / (1 + math.exp(-x / 2)) for x in (z, t))
            total += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
        assert task.distillation_loss(raw, taught, temperature=2.0).sum.item() == pytest.approx(4 * total, rel=1e-4)

    def test_what_is_neither_0_nor_1_is_not_known(self, task) -> None:
        label = torch.tensor([0.0, 1.0, torch.nan, 0.5, -1.0])
        assert collate(task, label[None]).valid.tolist() == [[True, True, False, False, False]]
        assert "nan where that is not known, found -1, 0.5; mend the file" in task.validate_values(label)
        assert task.validate_values(label[:3]) is None

    def test_what_is_drawn(self) -> None:
        task = MultiLabel(8, list("abcdefgh"))
        p = torch.tensor([0.9, 0.1, torch.nan, 0.5, 0.95, 0.0, 0.0, 0.0])
        picture = task.draw(p)
        rows = [tuple(row) for row in picture[:-8:40, 0].tolist()]
        assert rows == [task.colours[4], task.colours[0], task.colours[3]]  # the most probable first
        strip = [tuple(cell) for cell in picture[-1, ::36].tolist()]
        grey, black = (64, 64, 64), (0, 0, 0)
        assert strip == [task.colours[0], grey, black, task.colours[3], task.colours[4], grey, grey, grey]
        assert len(task.draw(torch.ones(8))) == 40 * 7 + 8  # six names and how many more
        assert len(task.draw(torch.zeros(8))) == 40 + 8
        assert task.draw(torch.zeros(8))[:40].any()

    def test_names(self) -> None:
        assert MultiLabel(1).names == ["class 0"]
        with pytest.raises(ValueError, match=r"^MultiLabel: expected 3 names, one per class\. Found 2"):
            MultiLabel(3, ["cat", "dog"])
        with pytest.raises(ValueError, match="expected at least one class"):
            MultiLabel(0)
