import pytest
import torch
from tests.tasks.base import IMAGES, SIZE, DenseTaskTester, collate
from torch import Tensor

from tutelage.tasks import Depth, InverseDepth


class TestInverseDepth(DenseTaskTester):
    best = {"abs_err": 0, "rel_err": 0}

    @pytest.fixture
    def task(self) -> InverseDepth:
        return InverseDepth()

    def label(self, generator: torch.Generator) -> Tensor:
        return 0.01 + 0.4 * torch.rand(IMAGES, 1, *SIZE, generator=generator)

    def perfect(self, label: Tensor) -> Tensor:
        return label

    def test_errors_are_those_of_the_inverse_depth(self, task) -> None:
        metric = task.metrics("dataset")
        metric.update(torch.tensor([[[[0.3, 0.3]]]]), collate(task, torch.tensor([[[[0.2, 0.4]]]])))
        found = {name: value.item() for name, value in metric.compute().items()}
        assert found == pytest.approx({"abs_err": 0.1, "rel_err": (0.5 + 0.25) / 2})
        assert {info.unit for info in task.metric_info.values()} == {""}

    def test_no_unit_is_wrong(self, task) -> None:
        assert task.validate_values(torch.full((1, 4, 5), 2500.0)) is None

    def test_near_has_the_colour_of_near(self, task) -> None:
        colours = [colour for _, colour in task.legend()]
        depth = [colour for _, colour in Depth().legend()]
        assert colours[0] == depth[-1]
        assert colours[-1] == depth[0]
        assert [name for name, _ in task.legend()] == ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5"]

    def test_an_impossible_range(self) -> None:
        with pytest.raises(ValueError, match=r"^InverseDepth: expected `range` as \(farthest, nearest\)"):
            InverseDepth(range=(0.0, 0.5))
