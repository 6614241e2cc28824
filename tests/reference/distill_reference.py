"""The distillation paper's formulas, position by position: slow and obvious."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Norm = Callable[[Tensor], Tensor]


def norm_add(a: Tensor, epsilon: float = 1e-6) -> Tensor:
    return (a.pow(2).sum() + epsilon).sqrt()


def norm_clamp(a: Tensor, epsilon: float = 1e-12) -> Tensor:
    return a.pow(2).sum().sqrt().clamp(min=epsilon)


def distance(a: Tensor, b: Tensor, norm: Norm = norm_add) -> Tensor:
    """d(a, b) of features [B, C, H, W]: a loop over images and positions."""
    batch, _, height, width = a.shape
    total = a.new_zeros(())
    for i in range(batch):
        for y in range(height):
            for x in range(width):
                p, q = a[i, :, y, x], b[i, :, y, x]
                total = total + (p / norm(p) - q / norm(q)).pow(2).sum()
    return total / (batch * height * width)


def conv1x1(weight: Tensor, feature: Tensor) -> Tensor:
    """A 1x1 convolution [C', C, 1, 1] of [B, C, H, W]: a matrix times the channels at each position."""
    matrix = weight[:, :, 0, 0]
    rows = [
        torch.stack([matrix @ feature[i, :, y, x] for x in range(feature.shape[3])], -1)
        for i in range(feature.shape[0])
        for y in range(feature.shape[2])
    ]
    return torch.stack(rows, 1).unflatten(1, (feature.shape[0], feature.shape[2])).transpose(0, 1)


def bilinear(feature: Tensor, height: int, width: int) -> Tensor:
    """Bilinear resizing of [B, C, H, W] with pixel centres at half integers (align_corners=False)."""

    def neighbours(i: int, size: int, new: int) -> tuple[int, int, float]:
        at = max((i + 0.5) * size / new - 0.5, 0.0)
        low = min(math.floor(at), size - 1)
        return low, min(low + 1, size - 1), at - low

    rows = []
    for y in range(height):
        y0, y1, v = neighbours(y, feature.shape[2], height)
        row = []
        for x in range(width):
            x0, x1, u = neighbours(x, feature.shape[3], width)
            top = (1 - u) * feature[:, :, y0, x0] + u * feature[:, :, y0, x1]
            bottom = (1 - u) * feature[:, :, y1, x0] + u * feature[:, :, y1, x1]
            row.append((1 - v) * top + v * bottom)
        rows.append(torch.stack(row, -1))
    return torch.stack(rows, -2)


def objective(
    losses: Mapping[str, Tensor],
    weights: Mapping[str, float],
    distances: Mapping[str, list[Tensor]],
    lambdas: Mapping[str, float],
) -> Tensor:
    """L = sum_t w_t l_t + sum_t lambda_t sum_k d_t^k."""
    total = torch.zeros(())
    for t, loss in losses.items():
        total = total + weights[t] * loss
    for t, taps in distances.items():
        for d in taps:
            total = total + lambdas[t] * d
    return total
