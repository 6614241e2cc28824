"""Several gradients of the same parameters, side by side in one matrix."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

_BLOCK = 32768  # columns


class Rows:
    """A matrix [rows, P] whose rows autograd fills without a copy: for a block, every `.grad` is a slice of a row.

    An element is at the same column in every row; which one it is follows the memory layout of the parameter, so that
    autograd adds what it computes as it lies in memory.

    Args:
        parameters: P numbers in all; frozen ones are left out.
        rows: The number of gradients.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], rows: int) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        ends = list(accumulate((p.numel() for p in self.parameters), initial=0))
        first = self.parameters[0] if self.parameters else torch.empty(0)
        self.matrix = torch.zeros(rows, ends[-1], dtype=first.dtype, device=first.device)
        self._slices = [
            [like(p, row[start:end]) for p, (start, end) in zip(self.parameters, pairwise(ends), strict=True)]
            for row in self.matrix
        ]

    def clear(self) -> None:
        """Set all rows to zero; a `.grad` that is one of them becomes None."""
        self.matrix.zero_()
        for p, *slices in zip(self.parameters, *self._slices, strict=True):
            if any(p.grad is piece for piece in slices):
                p.grad = None

    @contextmanager
    def into(self, row: int) -> Iterator[None]:
        """In this block a backward pass adds to a row in place of the parameters' `.grad`."""
        kept = [p.grad for p in self.parameters]
        for p, piece in zip(self.parameters, self._slices[row], strict=True):
            p.grad = piece
        try:
            yield
        finally:
            for p, grad in zip(self.parameters, kept, strict=True):
                p.grad = grad

    def give(self, row: int) -> None:
        """Make a row the parameters' `.grad`, or add it to the one that is there."""
        for p, piece in zip(self.parameters, self._slices[row], strict=True):
            p.grad = piece if p.grad is None else p.grad + piece


def gramian(matrix: Tensor) -> Tensor:
    """J J^T of a few long rows, computed in blocks: as one product of such shapes it is several times slower."""
    rows, columns = matrix.shape
    whole = columns - columns % _BLOCK
    if not whole:
        return matrix @ matrix.T
    blocks = matrix[:, :whole].view(rows, -1, _BLOCK).transpose(0, 1)
    products = torch.bmm(blocks, blocks.transpose(1, 2)).sum(0)
    return torch.addmm(products, matrix[:, whole:], matrix[:, whole:].T)


def like(p: Tensor, flat: Tensor) -> Tensor:
    """A slice of a row in the shape of a tensor, and in its memory layout where that has no gaps."""
    order = sorted(range(p.dim()), key=p.stride, reverse=True)
    if p.permute(order).is_contiguous():
        return flat.view([p.shape[d] for d in order]).permute([order.index(d) for d in range(p.dim())])
    return flat.view(p.shape)
