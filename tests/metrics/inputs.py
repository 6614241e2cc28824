"""Random predictions and targets, as a task would give them."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tutelage.types import Target

IMAGES, SIZE, CLASSES = 5, (9, 11), 6


def valid(generator: torch.Generator) -> Tensor:
    """About two thirds of the pixels; image 1 has none, image 3 has one."""
    mask = torch.rand(IMAGES, *SIZE, generator=generator) < 0.66
    mask[1] = False
    mask[3] = False
    mask[3, 4, 5] = True
    return mask


def classes(seed: int = 0) -> tuple[Tensor, Target]:
    """Class 4 is only labelled, class 5 occurs nowhere."""
    g = torch.Generator().manual_seed(seed)
    label = torch.randint(0, CLASSES - 1, (IMAGES, *SIZE), generator=g)
    wrong = torch.rand(label.shape, generator=g) < 0.5
    prediction = torch.where(wrong, torch.randint(0, CLASSES - 2, label.shape, generator=g), label.clamp(max=3))
    mask = valid(g)
    return prediction, Target(torch.where(mask, label, -1), mask)


def depths(seed: int = 0) -> tuple[Tensor, Target]:
    g = torch.Generator().manual_seed(seed)
    label = torch.rand(IMAGES, 1, *SIZE, generator=g) * 9 + 0.7
    prediction = label + torch.randn(label.shape, generator=g)
    mask = valid(g)
    return prediction, Target(torch.where(mask.unsqueeze(1), label, 0), mask)


def directions(seed: int = 0) -> tuple[Tensor, Target]:
    g = torch.Generator().manual_seed(seed)
    label = normalize(torch.randn(IMAGES, 3, *SIZE, generator=g))
    prediction = normalize(label + 0.3 * torch.randn(label.shape, generator=g))
    mask = valid(g)
    return prediction, Target(label * mask.unsqueeze(1), mask)


def as_images(prediction: Tensor, target: Target) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    return list(zip(prediction.numpy(), target.value.numpy(), target.valid.numpy(), strict=True))
