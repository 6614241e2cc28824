"""What every task of yes or no a pixel promises."""

import math

import pytest
import torch
from tests.tasks.base import IMAGES, SIZE, DenseTaskTester, collate
from torch import Tensor


class BinaryTester(DenseTaskTester):
    label_colours = 3  # no, yes, and black
    weights: tuple[float, float]  # of positive and of negative pixels

    def label(self, generator: torch.Generator) -> Tensor:
        return (torch.rand(IMAGES, *SIZE, generator=generator) < 0.3).long()

    def perfect(self, label: Tensor) -> Tensor:
        return 50.0 * (2 * label.clamp(0, 1) - 1).unsqueeze(1)

    def test_loss_is_weighted_cross_entropy(self, task, raw, target) -> None:
        a, b = self.weights
        total = 0.0
        for image, y, x in target.valid.nonzero().tolist():
            p = 1 / (1 + math.exp(-raw[image, 0, y, x].item()))
            total -= a * math.log(p) if target.value[image, y, x] == 1 else b * math.log(1 - p)
        assert task.loss(raw, target).sum.item() == pytest.approx(total, rel=1e-5)

    def test_activated_is_a_probability_in_the_labels_shape(self, task, raw, target) -> None:
        probability = task.activate(raw)
        assert probability.shape == target.value.shape
        torch.testing.assert_close(probability, 1 / (1 + torch.exp(-raw[:, 0])))

    @pytest.mark.parametrize("wrong", [2, 255, -2])
    def test_a_label_that_is_neither(self, task, wrong) -> None:
        label = torch.tensor([[[0, 1, -1, wrong]]])
        expected = f"expected labels 0 or 1, or -1 where unlabelled, found {wrong}; write the masks as 0 and 1"
        assert expected in task.validate_values(label[0])
        with pytest.raises(ValueError, match=rf"^{type(task).__name__}: {expected}"):
            collate(task, label)

    def test_drawn_in_the_colours_of_the_legend(self, task) -> None:
        picture = task.draw(torch.tensor([[0.0, 0.5, 1.0, torch.nan]]))
        legend = dict(task.legend())
        assert [tuple(c) for c in picture[0].tolist()] == [legend["0"], legend["0.5"], legend["1"], (0, 0, 0)]
        assert (task.draw(torch.tensor([[0, 1, -1]])) == picture[:, [0, 2, 3]]).all()
