import math

import numpy as np
import pytest
import torch
from tests.tasks.base import IMAGES, WholeImageTaskTester, collate
from torch import Tensor
from torch.nn.functional import one_hot

from tutelage.tasks import Classification


class TestClassification(WholeImageTaskTester):
    best = {"accuracy": 100, "class_accuracy": 100}

    @pytest.fixture
    def task(self) -> Classification:
        return Classification(classes=5)

    def label(self, generator: torch.Generator) -> Tensor:
        return torch.randint(0, 5, (IMAGES,), generator=generator)

    def perfect(self, label: Tensor) -> Tensor:
        return 50.0 * one_hot(label.clamp(min=0), 5)

    @pytest.mark.parametrize("smoothing", [0.0, 0.3])
    def test_loss_is_cross_entropy_with_smoothed_labels(self, raw, target, smoothing) -> None:
        total = 0.0
        for image in target.valid.nonzero().flatten().tolist():
            logits = raw[image].tolist()
            log_sum = math.log(sum(math.exp(v) for v in logits))
            for c, logit in enumerate(logits):
                q = smoothing / 5 + (1 - smoothing if c == target.value[image] else 0)
                total -= q * (logit - log_sum)
        assert Classification(5, label_smoothing=smoothing).loss(raw, target).sum.item() == pytest.approx(
            total, rel=1e-5
        )

    def test_smoothing_leaves_images_without_label_out(self, raw, target) -> None:
        task = Classification(5, label_smoothing=0.3)
        (gradient,) = torch.autograd.grad(task.loss(raw, target).sum, raw)
        assert gradient[target.valid].any(1).all()
        assert not gradient[~target.valid].any()

    @pytest.mark.parametrize("wrong", [5, -2])
    def test_a_label_that_is_no_class(self, task, wrong) -> None:
        with pytest.raises(
            ValueError, match=rf"^Classification: expected labels 0\.\.4, or -1 where .* Found {wrong};"
        ):
            collate(task, torch.tensor([0, wrong]))

    def test_what_is_wrong_with_a_label(self, task) -> None:
        problem = "expected classes 0..4, or -1 where unlabelled, found 7; set the task's `classes`, or mend the file"
        assert task.validate_values(torch.tensor(7)) == problem

    def test_the_picture_says_the_name(self) -> None:
        task = Classification(3, ["cat", "dog", "a name that is far too long for the width of one picture, and longer"])
        pictures = [task.draw(torch.tensor(c)) for c in range(3)]
        assert {picture.shape for picture in pictures} == {pictures[0].shape}
        for c, picture in enumerate(pictures):
            assert tuple(picture[0, 0].tolist()) == task.colours[c]
            written = (picture != picture[0, 0]).any(-1)
            assert 0.01 < written.mean() < 0.5
            assert not written[:, :4].any()
            assert not written[:, -4:].any()
        other = Classification(3, ["cow", "dog", "sheep"])
        assert not np.array_equal(pictures[0], other.draw(torch.tensor(0)))
        assert np.array_equal(pictures[1], other.draw(torch.tensor(1)))

    @pytest.mark.parametrize("smoothing", [1.0, -0.1])
    def test_an_impossible_smoothing(self, smoothing) -> None:
        with pytest.raises(ValueError, match="expected `label_smoothing` of at least 0 and below 1"):
            Classification(3, label_smoothing=smoothing)

    def test_names(self) -> None:
        with pytest.raises(ValueError, match=r"^Classification: expected 3 names, one per class\. Found 2"):
            Classification(3, ["cat", "dog"])
