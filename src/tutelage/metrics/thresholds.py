"""Counts at many thresholds at once, without waiting for the device."""

import torch
from torch import Tensor


def above(probability: Tensor, mask: Tensor, thresholds: Tensor) -> Tensor:
    """How many of the masked pixels [B, H, W] of every image lie above each of K increasing thresholds: int64 [B, K].

    It takes one pass over the pixels for any K: each pixel falls between two thresholds, and lies above all lower ones.
    """
    images, k = len(probability), len(thresholds)
    passed = torch.bucketize(probability, thresholds)  # the number of thresholds strictly below
    cell = torch.arange(images, device=probability.device).reshape(-1, 1, 1) * (k + 1) + passed
    counts = torch.zeros(images * (k + 1), dtype=torch.int64, device=probability.device)
    counts = counts.scatter_add(0, cell.flatten(), mask.flatten().long()).reshape(images, k + 1)
    return counts.flip(1).cumsum(1).flip(1)[:, 1:]


def f_measure(precision: Tensor, recall: Tensor, beta_squared: float) -> Tensor:
    """(1 + beta^2) P R / (beta^2 P + R), and 0 where both are 0."""
    bottom = beta_squared * precision + recall
    return (1 + beta_squared) * precision * recall / torch.where(bottom == 0, 1, bottom)
