"""Columns of a matrix that are spread over processes: gradients of features, of which each has those of its images."""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from tutelage.types import World


class Spread:
    """Where the columns of this process are among those of all.

    Features have their images first, and a process has a slice of these. So the columns of all processes are those
    that one process would have, in the same order, for features that lie in memory image after image.

    Args:
        world: The processes.
        features: Of this process; their gradients are the columns, one after the other.
    """

    def __init__(self, world: World, features: Sequence[Tensor]) -> None:
        self.world, self._own = world, [z.numel() for z in features]
        self._shapes = [tuple(z.shape[1:]) for z in features]

    def aligned(self) -> bool:
        """Whether every process has images of every feature."""
        return len({tuple(shapes) for shapes in self.world.gather(self._shapes)}) == 1

    def gather(self, rows: Tensor) -> Tensor:
        """The rows with the columns of all processes."""
        starts, count = self._places
        whole = rows.new_zeros(len(rows), count)
        for start, piece in zip(starts, torch.split(rows, self._own, dim=1) if self._own else (), strict=False):
            whole[:, start : start + piece.shape[1]] = piece
        return self.world.sum(whole)

    def own(self, row: Tensor) -> Tensor:
        """The columns of this process, of a row of all."""
        pieces = [row[start : start + size] for start, size in zip(self._places[0], self._own, strict=False)]
        return torch.cat(pieces) if pieces else row[:0]

    @cached_property
    def _places(self) -> tuple[list[int], int]:
        """Where the columns of each feature of this process begin, and the number of all columns."""
        everyone, ranks = self.world.gather(self._own), range(self.world.size)
        most = max(len(sizes) for sizes in everyone)
        sizes = [everyone[r][k] if k < len(everyone[r]) else 0 for k in range(most) for r in ranks]
        ends = list(accumulate(sizes, initial=0))
        return [ends[k * self.world.size + self.world.rank] for k in range(most)], ends[-1]
