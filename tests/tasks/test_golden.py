"""Losses and metrics of the authors' code, on the predictions of their network."""

import pytest
import torch
from tests.reference import golden
from torch import Tensor


@pytest.fixture(scope="module")
def predictions() -> dict[str, Tensor]:
    with torch.no_grad():
        return golden.segnet(golden.STUDENT)(golden.images()).predictions


@pytest.mark.parametrize("task", golden.TASKS)
def test_scalarizer(predictions: dict[str, Tensor], task: str) -> None:
    golden.close(golden.TASKS[task].loss(predictions[task], golden.targets()[task]).mean(), golden.LOSSES[task])


def values(predictions: dict[str, Tensor], name: str) -> dict[str, float]:
    # Theirs are of the batch; its images have equally many valid pixels, so that the mean over images is the same.
    task = golden.TASKS[name]
    metric = task.metrics("image")
    metric.update(task.activate(predictions[name]), golden.targets()[name])
    return {key: float(value) for key, value in metric.compute().items()}


def test_segmentation(predictions: dict[str, Tensor]) -> None:
    found = values(predictions, "segmentation")
    assert found["pixel_accuracy"] == pytest.approx(100 * golden.PIXEL_ACCURACY, rel=1e-3)
    assert found["miou"] == pytest.approx(100 * golden.MIOU, rel=1e-3)


def test_depth(predictions: dict[str, Tensor]) -> None:
    found = values(predictions, "depth")
    assert list(found.values()) == pytest.approx([golden.ABS_ERR, golden.REL_ERR], rel=1e-3)


def test_normals(predictions: dict[str, Tensor]) -> None:
    found = values(predictions, "normals")
    assert list(found.values())[:2] == pytest.approx(golden.ANGLES, rel=1e-4)
    assert list(found.values())[2:] == pytest.approx([100 * share for share in golden.WITHIN], abs=0.01)
