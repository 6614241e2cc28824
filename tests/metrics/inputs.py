"""Random predictions and targets, as a task would give them."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tutelage.types import MaskedTarget

IMAGES, SIZE, CLASSES = 5, (9, 11), 6


def valid(generator: torch.Generator) -> Tensor:
    """About two thirds of the pixels; image 1 has none, image 3 has one."""
    mask = torch.rand(IMAGES, *SIZE, generator=generator) < 0.66
    mask[1] = False
    mask[3] = False
    mask[3, 4, 5] = True
    return mask


def classes(seed: int = 0) -> tuple[Tensor, MaskedTarget]:
    """Class 4 is only labelled, class 5 occurs nowhere."""
    g = torch.Generator().manual_seed(seed)
    label = torch.randint(0, CLASSES - 1, (IMAGES, *SIZE), generator=g)
    wrong = torch.rand(label.shape, generator=g) < 0.5
    prediction = torch.where(wrong, torch.randint(0, CLASSES - 2, label.shape, generator=g), label.clamp(max=3))
    mask = valid(g)
    return prediction, MaskedTarget(torch.where(mask, label, -1), mask)


def depths(seed: int = 0) -> tuple[Tensor, MaskedTarget]:
    g = torch.Generator().manual_seed(seed)
    label = torch.rand(IMAGES, 1, *SIZE, generator=g) * 9 + 0.7
    prediction = label + torch.randn(label.shape, generator=g)
    mask = valid(g)
    return prediction, MaskedTarget(torch.where(mask.unsqueeze(1), label, 0), mask)


def directions(seed: int = 0) -> tuple[Tensor, MaskedTarget]:
    g = torch.Generator().manual_seed(seed)
    label = normalize(torch.randn(IMAGES, 3, *SIZE, generator=g))
    prediction = normalize(label + 0.3 * torch.randn(label.shape, generator=g))
    mask = valid(g)
    return prediction, MaskedTarget(label * mask.unsqueeze(1), mask)


def image_classes(seed: int = 0) -> tuple[Tensor, MaskedTarget]:
    """One class an image: class 4 is only predicted, class 5 occurs nowhere; a third of the images have no label."""
    g = torch.Generator().manual_seed(seed)
    label = torch.randint(0, CLASSES - 2, (30,), generator=g)
    prediction = torch.where(
        torch.rand(30, generator=g) < 0.5, label, torch.randint(0, CLASSES - 1, (30,), generator=g)
    )
    mask = torch.rand(30, generator=g) < 0.66
    return prediction, MaskedTarget(torch.where(mask, label, -1), mask)


def numbers(seed: int = 0) -> tuple[Tensor, MaskedTarget]:
    """Three numbers an image, of different sizes; a third of the entries is not known, and nothing of image 1."""
    g = torch.Generator().manual_seed(seed)
    label = torch.randn(20, 3, generator=g) * torch.tensor([1.0, 30.0, 0.1]) + torch.tensor([0.0, 100.0, -1.0])
    prediction = label + torch.randn(20, 3, generator=g) * torch.tensor([0.5, 20.0, 0.02])
    mask = torch.rand(20, 3, generator=g) < 0.66
    mask[1] = False
    return prediction, MaskedTarget(torch.where(mask, label, torch.nan), mask)


def several_classes(seed: int = 0) -> tuple[Tensor, MaskedTarget]:
    """Any of six classes an image, scores in steps of 0.05 so that some are equal: class 4 has no positive, class 5 has
    no known entry, image 1 nothing known and image 2 no positive."""
    g = torch.Generator().manual_seed(seed)
    label = (torch.rand(30, CLASSES, generator=g) < 0.4).float()
    label[:, 4] = label[2] = 0
    score = ((0.3 * label + 0.7 * torch.rand(label.shape, generator=g)) * 20).round() / 20
    mask = torch.rand(label.shape, generator=g) < 0.66
    mask[:, 5] = mask[1] = False
    return score, MaskedTarget(torch.where(mask, label, torch.nan), mask)


def probabilities(seed: int = 0) -> tuple[Tensor, MaskedTarget]:
    """Blobs of yes that are found half; image 4 has none. Some probabilities are round, as thresholds are."""
    g = torch.Generator().manual_seed(seed)
    label = (torch.rand(IMAGES, *SIZE, generator=g) < 0.15).long()
    label[4] = 0
    probability = (0.4 * label + 0.6 * torch.rand(label.shape, generator=g)).clamp(0, 1)
    probability[:, ::2] = (probability[:, ::2] * 20).round() / 20
    mask = valid(g)
    label[3, 4, 5] = 1  # where image 3 has its one label
    return probability, MaskedTarget(torch.where(mask, label, -1), mask)


def as_images(prediction: Tensor, target: MaskedTarget) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    return list(zip(prediction.numpy(), target.value.numpy(), target.valid.numpy(), strict=True))
