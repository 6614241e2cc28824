import pytest
import torch
from tests.tasks.base import IMAGES, SIZE, DenseTaskTester, collate
from torch import Tensor
from torch.nn.functional import one_hot

from tutelage.tasks import HumanParts
from tutelage.types import MaskedTarget


class TestHumanParts(DenseTaskTester):
    best = {"miou": 100, "pixel_accuracy": 100}

    @pytest.fixture
    def task(self) -> HumanParts:
        return HumanParts()

    def label(self, generator: torch.Generator) -> Tensor:
        return torch.randint(0, 7, (IMAGES, *SIZE), generator=generator)

    def perfect(self, label: Tensor) -> Tensor:
        return 50.0 * one_hot(label.clamp(min=0), 7).movedim(-1, 1)

    @pytest.fixture
    def perfectible(self, task, images) -> MaskedTarget:
        label = self.label(torch.Generator().manual_seed(1))
        return task.collate([None if i == 2 else x for i, x in enumerate(label)], images)

    def test_the_seven_classes(self, task) -> None:
        names = ["background", "head", "torso", "upper arm", "lower arm", "upper leg", "lower leg"]
        assert [name for name, _ in task.legend()] == names
        with pytest.raises(ValueError, match=r"^HumanParts: expected labels 0\.\.6, or -1 where unlabelled\. Found 7;"):
            collate(task, torch.tensor([[[7]]]))
