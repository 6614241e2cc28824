"""A prediction that is written as a label's file is read by the kind of that label, at its defaults."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from tutelage.data import ClassesLabel, DepthLabel, InverseDepthLabel, MaskLabel, NormalsLabel
from tutelage.data.modalities import Modality
from tutelage.tasks import (
    Classification,
    Depth,
    Edges,
    HumanParts,
    InverseDepth,
    MultiLabel,
    Normals,
    Regression,
    Saliency,
    Segmentation,
)
from tutelage.types import Task

SHAPE = (5, 7)


def uniform(low: float, high: float, channels: int | None = 1) -> Tensor:
    shape = SHAPE if channels is None else (channels, *SHAPE)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * (high - low) + low


def read(task: Task, value: Tensor, kind: Modality, folder: Path) -> Tensor:
    encoded = task.encode(value)
    assert encoded is not None
    Image.fromarray(encoded).save(folder / "x.png")
    return kind.finish(kind.decode(folder / "x.png"))


@pytest.mark.parametrize(
    ("task", "value", "kind", "tolerance"),
    [
        (Segmentation(13), uniform(0, 13, None).long(), ClassesLabel(), 0),
        (HumanParts(), uniform(0, 7, None).long(), ClassesLabel(), 0),
        (Segmentation(300), uniform(0, 300, None).long(), ClassesLabel(ignore=()), 0),
        (Depth(), uniform(0.5, 20), DepthLabel(), 0.0005001),
        (InverseDepth(), uniform(0.01, 0.9), InverseDepthLabel(), 0.500001 / 65535),
        (Normals(), normalize(uniform(-1, 1, 3), dim=0), NormalsLabel(), 0.01),
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_is_read_as_it_was(task: Task, value: Tensor, kind: Modality, tolerance: float, tmp_path: Path) -> None:
    torch.testing.assert_close(read(task, value, kind, tmp_path), value, rtol=0, atol=tolerance)


@pytest.mark.parametrize("task", [Edges(), Saliency()])
def test_of_a_mask_one_half_is_the_threshold(task: Task, tmp_path: Path) -> None:
    value = torch.tensor([[0.0, 0.49, 0.51, 1.0]])
    assert read(task, value, MaskLabel(), tmp_path).tolist() == [[0, 0, 1, 1]]


def test_what_16_bits_cannot_hold_has_no_depth(tmp_path: Path) -> None:
    value = torch.tensor([[[-1.0, 0.0, 0.0001, 0.001, 65.534, 65.535, 1e9, torch.nan, torch.inf]]])
    expected = torch.tensor([[[0.0, 0.0, 0.0, 0.001, 65.534, 0.0, 0.0, 0.0, 0.0]]])
    torch.testing.assert_close(read(Depth(), value, DepthLabel(), tmp_path), expected)


def test_a_direction_that_does_not_exist_has_no_normal(tmp_path: Path) -> None:
    assert (read(Normals(), torch.zeros(3, *SHAPE), NormalsLabel(), tmp_path) == 0).all()


@pytest.mark.parametrize(
    ("task", "value"),
    [
        (Classification(3), torch.tensor(1)),
        (MultiLabel(2), torch.tensor([0.1, 0.9])),
        (Regression(1), torch.tensor([1.0])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_of_whole_images_there_is_no_picture(task: Task, value: Tensor) -> None:
    assert task.encode(value) is None


def test_the_type_is_the_smallest_that_holds_all_classes() -> None:
    assert Segmentation(255).encode(torch.zeros(SHAPE, dtype=torch.int64)).dtype == np.uint8
    assert Segmentation(256).encode(torch.zeros(SHAPE, dtype=torch.int64)).dtype == np.uint16
