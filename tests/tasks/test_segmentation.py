import math

import numpy as np
import pytest
import torch
from tests.tasks.base import IMAGES, SIZE, DenseTaskTester, collate
from torch import Tensor
from torch.nn.functional import one_hot

from tutelage.data.rooms.solids import COARSE
from tutelage.tasks import Segmentation
from tutelage.tasks.palette import NYU13
from tutelage.types import MaskedTarget
from tutelage.values import presets, read_values


class TestSegmentation(DenseTaskTester):
    best = {"miou": 100, "pixel_accuracy": 100}

    @pytest.fixture
    def task(self) -> Segmentation:
        return Segmentation(classes=6)

    def label(self, generator: torch.Generator) -> Tensor:
        return torch.randint(0, 6, (IMAGES, *SIZE), generator=generator)

    def perfect(self, label: Tensor) -> Tensor:
        return 50.0 * one_hot(label.clamp(min=0), 6).movedim(-1, 1)

    @pytest.fixture
    def perfectible(self, task, images) -> MaskedTarget:
        label = self.label(torch.Generator().manual_seed(1))
        return task.collate([None if i == 2 else x for i, x in enumerate(label)], images)

    def test_no_prediction_is_perfect_for_unlabelled_pixels_in_the_image_protocol(self, task, target) -> None:
        prediction = task.activate(self.perfect(target.value))
        found = {}
        for protocol in ("dataset", "image"):
            metric = task.metrics(protocol)
            metric.update(prediction, target)
            found[protocol] = metric.compute()["miou"].item()
        assert found["dataset"] == pytest.approx(100)
        assert found["image"] < 95

    def test_loss_is_cross_entropy(self, task, raw, target) -> None:
        total = 0.0
        for image, y, x in target.valid.nonzero().tolist():
            logits = raw[image, :, y, x].tolist()
            total += math.log(sum(math.exp(v) for v in logits)) - logits[target.value[image, y, x]]
        assert task.loss(raw, target).sum.item() == pytest.approx(total, rel=1e-5)

    @pytest.mark.parametrize("wrong", [6, 255, -2])
    def test_a_label_that_is_no_class(self, task, wrong) -> None:
        label = self.label(torch.Generator())
        label[0, 0, 0] = wrong
        with pytest.raises(ValueError, match=rf"expected labels 0\.\.5, or -1 where unlabelled\. Found {wrong};"):
            collate(task, label)

    def test_what_is_wrong_with_a_label(self, task) -> None:
        label = torch.tensor([[-1, 0, 5], [6, 255, -2]])
        problem = task.validate_values(label)
        assert problem.startswith("expected classes 0..5, or -1 where unlabelled, found -2, 6, 255; set the task's `cl")
        assert "found 6, 7, 8, 9, 10, ...;" in task.validate_values(torch.arange(256).reshape(16, 16))
        assert task.validate_values(label.clamp(-1, 5)) is None

    def test_draw_in_the_colours_of_the_legend(self, task) -> None:
        picture = task.draw(torch.tensor([[0, 5, -1]]))
        colours = [colour for _, colour in task.legend()]
        assert [tuple(c) for c in picture[0].tolist()] == [colours[0], colours[5], (0, 0, 0)]

    def test_presets_with_nyus_classes_have_its_names(self) -> None:
        studies = {name: read_values(name) for name in presets() if name.startswith(("nyuv2", "rooms"))}
        assert len(studies) >= 8
        for name, values in studies.items():
            names = COARSE if name == "rooms" else NYU13
            assert values["tasks"]["segmentation"]["init_args"] == {"classes": len(names), "names": list(names)}

    def test_names(self) -> None:
        assert [name for name, _ in Segmentation(13).legend()][:2] == ["class 0", "class 1"]  # anybody's, not NYU's
        assert [name for name, _ in Segmentation(2).legend()] == ["class 0", "class 1"]
        assert [name for name, _ in Segmentation(2, ["road", "sky"]).legend()] == ["road", "sky"]
        with pytest.raises(ValueError, match=r"expected 3 names, one per class\. Found 2"):
            Segmentation(3, ["road", "sky"])
        with pytest.raises(ValueError, match=r"expected at least two classes\. Found `classes = 1`"):
            Segmentation(1)


@pytest.mark.parametrize(("classes", "distance"), [(13, 55), (19, 55), (40, 55), (150, 25)])
def test_colours_can_be_told_apart(classes, distance) -> None:
    colours = np.array([(0, 0, 0), *Segmentation(classes).colours])
    between = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    assert between[~np.eye(classes + 1, dtype=bool)].min() > distance
