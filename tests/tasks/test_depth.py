import pytest
import torch
from tests.tasks.base import IMAGES, SIZE, DenseTaskTester, collate
from torch import Tensor

from tutelage.tasks import Depth


class TestDepth(DenseTaskTester):
    best = {"abs_err": 0, "rel_err": 0}

    @pytest.fixture
    def task(self) -> Depth:
        return Depth()

    def label(self, generator: torch.Generator) -> Tensor:
        return 0.7 + 2 * torch.rand(IMAGES, 1, *SIZE, generator=generator)

    def perfect(self, label: Tensor) -> Tensor:
        return label

    def test_loss_is_the_absolute_error(self, task, raw, target) -> None:
        total = 0.0
        for image, y, x in target.valid.nonzero().tolist():
            total += abs(raw[image, 0, y, x].item() - target.value[image, 0, y, x].item())
        assert task.loss(raw, target).sum.item() == pytest.approx(total, rel=1e-5)

    def test_valid_is_finite_and_positive(self, task) -> None:
        label = torch.tensor([[[[0.0, 0.7, torch.nan, torch.inf, -1.0, 10.0]]]])
        assert collate(task, label).valid.tolist() == [[[False, True, False, False, False, True]]]

    def test_millimetres_are_a_problem_and_far_things_are_none(self, task) -> None:
        label = torch.full((1, 4, 5), 2500.0)
        message = "expected depths in metres, at most 100 in the median, found a median of 2500;"
        assert message in task.validate_values(label)
        label[0, :2] = 0  # no label, not near
        label[0, 2, 0] = torch.nan
        assert "found a median of 2500;" in task.validate_values(label)
        label[0, 2:] = torch.tensor([5.0, 6.0, 7.0, 2500.0, 2500.0])  # a few that are wrong do not make it another unit
        assert task.validate_values(label) is None
        assert task.validate_values(torch.full((1, 4, 5), 100.0)) is None
        assert "at most 1000 in" in Depth(range=(1, 100)).validate_values(torch.full((1, 4, 5), 1001.0))
        assert Depth(range=(1, 100)).validate_values(torch.full((1, 4, 5), 999.0)) is None
        assert Depth(range=(0.1, 1)).validate_values(torch.full((1, 4, 5), 99.0)) is None

    def test_beyond_the_range_is_the_colour_of_its_end(self, task) -> None:
        picture = task.draw(torch.tensor([[[-1.0, 0.0, 0.5, 10.0, 99.0, torch.nan, torch.inf]]]))[0].tolist()
        assert picture[0] == picture[1] == picture[2] != picture[3] == picture[4]
        assert picture[5] == picture[6] == [0, 0, 0]

    def test_legend_is_what_is_drawn(self, task) -> None:
        legend = task.legend()
        assert [name for name, _ in legend] == ["0.5 m", "1 m", "2 m", "5 m", "10 m"]
        picture = task.draw(torch.tensor([[[0.5, 1, 2, 5, 10]]]))
        assert [tuple(c) for c in picture[0].tolist()] == [colour for _, colour in legend]
        assert [name for name, _ in Depth(range=(2.25, 4)).legend()] == ["2.25 m", "4 m"]

    @pytest.mark.parametrize("wrong", [(0.0, 10.0), (5.0, 1.0)])
    def test_an_impossible_range(self, wrong) -> None:
        with pytest.raises(ValueError, match=r"expected `range` as \(nearest, farthest\)"):
            Depth(range=wrong)
