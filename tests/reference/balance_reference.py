"""Formulas of balancing methods, slow and obvious."""

from torch import Tensor


def shortest_between(first: Tensor, second: Tensor, steps: int = 20_000) -> float:
    """The share of `first` in the shortest vector between two, by trying them all."""
    shares = [n / steps for n in range(steps + 1)]
    # |s a + (1 - s) b|^2, written out
    aa, bb, ab = float(first @ first), float(second @ second), float(first @ second)
    return min(shares, key=lambda s: s * s * aa + (1 - s) ** 2 * bb + 2 * s * (1 - s) * ab)
