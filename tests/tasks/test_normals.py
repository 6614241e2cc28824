import math

import numpy as np
import pytest
import torch
from tests.tasks.base import IMAGES, SIZE, DenseTaskTester, collate
from torch import Tensor
from torch.nn.functional import normalize

from tutelage.tasks import Normals


class TestNormals(DenseTaskTester):
    best = {"mean": 0, "median": 0, "within_11_25": 100, "within_22_5": 100, "within_30": 100}

    @pytest.fixture
    def task(self) -> Normals:
        return Normals()

    def label(self, generator: torch.Generator) -> Tensor:
        return normalize(torch.randn(IMAGES, 3, *SIZE, generator=generator))

    def mirror(self, label: Tensor) -> Tensor:
        x, y, z = label.flip(-1).unbind(1)
        return torch.stack((-x, y, z), 1)

    def perfect(self, label: Tensor) -> Tensor:
        return 3 * label

    def test_loss_is_one_minus_cosine(self, task, raw, target) -> None:
        total = 0.0
        for image, y, x in target.valid.nonzero().tolist():
            n, true = raw[image, :, y, x].tolist(), target.value[image, :, y, x].tolist()
            total += 1 - sum(a * b for a, b in zip(n, true, strict=True)) / math.sqrt(sum(a * a for a in n))
        assert task.loss(raw, target).sum.item() == pytest.approx(total, rel=1e-5)

    def test_unit_length(self, task, raw) -> None:
        length = task.activate(raw * torch.logspace(-4, 6, SIZE[1])).norm(dim=1)
        torch.testing.assert_close(length, torch.ones_like(length))

    def test_a_raw_output_without_direction(self, task, raw, target) -> None:
        raw = raw.detach().clone()
        raw[:, :, 0] = 0
        raw[:, :, 1] *= 1e-8
        raw.requires_grad_()
        assert not task.activate(raw)[:, :, :2].any()
        (gradient,) = torch.autograd.grad(task.loss(raw, target).sum, raw)
        assert gradient.isfinite().all()
        assert not gradient[:, :, :2].any()

    def test_valid_is_not_the_zero_vector(self, task) -> None:
        # components that add up to 0 are no hole, as they are in the authors' code
        label = torch.tensor([[0, 0, 0], [0.6, -0.8, 0.2], [0, 0, 1], [1, -1, 0], [torch.nan, 0, 1]])
        assert collate(task, label.T.reshape(1, 3, 1, 5)).valid.tolist() == [[[False, True, True, True, False]]]

    def test_legend_is_what_is_drawn(self, task) -> None:
        assert dict(task.legend())["viewer"] == (128, 128, 255)
        assert dict(task.legend())["up"] == (128, 255, 128)
        normal = torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)
        assert np.array_equal(task.draw(normal)[0, 0], dict(task.legend())["right"])


def test_large_labels_are_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    label = torch.randn(3, 3, 4, 5)
    label[1, :, 2], label[2, 0, 0] = 0, torch.nan
    labels = list(label)
    whole = Normals().collate(labels, torch.rand(3, 3, 4, 5)).valid
    monkeypatch.setattr("tutelage.tasks.masked._CACHED", 100)  # more than one of them, less than two
    assert torch.equal(Normals().collate(labels, torch.rand(3, 3, 4, 5)).valid, whole)
    assert whole.sum() == 3 * 20 - 5 - 5
