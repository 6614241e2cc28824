"""Brings features to mean 0 and the same variance in every channel, without distorting them."""

from math import sqrt

import torch
from torch import Tensor, nn


class PhiS(nn.Module):
    """PHI standardisation: (phi - mean) rotated so that all channels have the same variance, divided by one number.

    y = R (phi - mean) / s,   s^2 = the mean variance of the channels,   R orthogonal

    so that lengths and angles stay as they are, but for the one scale s: a direction in which the teacher varies little
    counts little, while `Standardise` blows all channels up alike. The statistics are estimated once and then part of
    `state_dict`. R = H U^T, where U are the eigenvectors of the covariance and H is Hadamard's matrix over sqrt(C), if
    the number C of channels is a power of 2: every channel of y is then made of all directions in equal parts.
    Otherwise R = G U^T with at most C - 1 plane rotations G that make the diagonal of the covariance constant (Bendel
    and Mickey, 1978).

    Source: Ranzinger et al., "PHI-S: Distribution Balancing for Label-Free Multi-Teacher Distillation", arXiv:
    2410.01680. Ours to decide: G, where the paper needs a Hadamard matrix of every number of channels.

    Args:
        channels: Of the feature, its axis 1.
    """

    mean: Tensor  # [C]
    rotation: Tensor  # [C, C], R / s

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("rotation", torch.eye(channels))
        self._sums: tuple[Tensor, Tensor, int] | None = None  # of values [C], of products [C, C], and the positions

    @torch.no_grad()
    def add(self, feature: Tensor) -> None:
        """Count a feature [B, C, ...] in the statistics, over all its images and positions; sums in fp64."""
        x = feature.double().movedim(1, -1).reshape(-1, feature.shape[1])  # [positions, C]
        total, products, count = self._sums or self._no_sums()
        self._sums = total + x.sum(0), products + x.T @ x, count + len(x)

    @torch.no_grad()
    def finish(self) -> None:
        """Set mean and rotation to those of the features added; mean 0 and no rotation if they do not vary."""
        total, products, count = self._sums or self._no_sums()
        mean = total / max(count, 1)
        covariance = products / max(count, 1) - torch.outer(mean, mean)
        variance = covariance.trace() / len(mean)
        self.mean.copy_(mean)
        if variance > 1e-12 * products.trace() / max(count, 1):
            values, vectors = torch.linalg.eigh(covariance)
            self.rotation.copy_(spread(values.clamp(min=0)) @ vectors.T / variance.sqrt())
        self._sums = None

    def _no_sums(self) -> tuple[Tensor, Tensor, int]:
        zeros = torch.zeros_like(self.rotation, dtype=torch.float64)
        return zeros[0], zeros, 0

    def forward(self, feature: Tensor) -> Tensor:
        """The standardised feature, in fp32."""
        with torch.autocast(feature.device.type, enabled=False):
            centred = (feature.float().movedim(1, -1) - self.mean) @ self.rotation.T
        return centred.movedim(-1, 1)


def spread(values: Tensor) -> Tensor:
    """An orthogonal matrix Q [C, C] for which all diagonal elements of Q diag(values) Q^T are equal."""
    count = len(values)
    if count & (count - 1) == 0:
        from scipy.linalg import hadamard  # takes most of the time of importing this package

        return torch.as_tensor(hadamard(count), dtype=values.dtype, device=values.device) / sqrt(count)
    rotation, rotated = torch.eye(count, dtype=values.dtype), torch.diag(values.cpu())
    mean = rotated.diagonal().mean()
    for _ in range(count - 1):  # each makes one more element equal to the mean
        i, j = int(rotated.diagonal().argmin()), int(rotated.diagonal().argmax())
        low, high, cross = mean - rotated[i, i], rotated[j, j] - mean, rotated[i, j]
        if low <= 0 or high <= 0:
            break
        # tan solves (a_jj - mean) t^2 + 2 a_ij t + (a_ii - mean) = 0
        t = (-cross + (cross.square() + high * low).sqrt()) / high
        c = 1 / (1 + t.square()).sqrt()
        plane = torch.stack([torch.stack([c, t * c]), torch.stack([-t * c, c])])
        rotation[[i, j]] = plane @ rotation[[i, j]]
        rotated[[i, j]] = plane @ rotated[[i, j]]
        rotated[:, [i, j]] = rotated[:, [i, j]] @ plane.T
        rotated[i, i] = mean
    return rotation.to(values.device)
