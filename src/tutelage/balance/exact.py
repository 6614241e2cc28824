"""Exact gradients of the shared parameters: a backward pass through them for every objective."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import accumulate

import torch
from torch import Tensor

from tutelage.balance.objective import Groups
from tutelage.balance.rows import Rows
from tutelage.types import MultiTaskNet, Reduce

Heads = Mapping[tuple[str, str], Rows]  # by group and objective: the gradients of the heads that it reaches


class ExactGradients:
    """The gradients of a step in one matrix: a row per draw, group and objective, and a last one for the update.

    Args:
        net: Gives the shared parameters.
        names: The objectives by group.
        draws: How many independent batches a step has.
        updates: The draws whose batches move the network; the others only balance.
    """

    def __init__(self, net: MultiTaskNet, names: Mapping[str, list[str]], draws: int, updates: tuple[int, ...]) -> None:
        self._names, self._draws, self._updates = names, draws, updates
        *starts, self._size = accumulate((len(named) for named in names.values()), initial=0)
        self._starts = dict(zip(names, starts, strict=True))
        self._rows = Rows(net.shared_parameters(), draws * self._size + 1)
        self._moved = False  # whether this step has a gradient for the network
        self._adds = False  # whether it adds something as it is

    def clear(self) -> None:
        """Forget the last step's gradients."""
        self._rows.clear()
        self._moved = self._adds = False

    def collect(self, groups: Groups, rest: Sequence[Tensor], reduce: Reduce, heads: Heads) -> None:
        """A backward pass for every objective, each into its row, and one for what is added as it is.

        With several processes a row is added over them while the next one is computed.
        """
        draw, world = reduce.draw, reduce.world
        moves = draw in self._updates
        several = world.size > 1
        passes: list[tuple[Tensor, int, tuple[str, str]]] = []
        for group, named in groups.items():
            for i, name in enumerate(self._names[group]):
                if name in named and (named[name].requires_grad or several):
                    passes.append((named[name], self._first(draw, group) + i, (group, name)))
        added = [x for x in rest if x.requires_grad] if moves else []
        if added:
            passes.append((torch.stack(added).sum(), -1, ("", "")))
        self._adds |= moves and bool(rest)
        self._moved |= moves and (bool(passes) or (several and bool(rest)))
        differentiable = [value.requires_grad for value, _, _ in passes]
        for n, (value, row, objective) in enumerate(passes):
            if differentiable[n]:
                with self._rows.into(row), heads[objective].into(0) if objective in heads else nullcontext():
                    torch.autograd.backward(
                        value / len(self._updates) if moves else value,
                        retain_graph=any(differentiable[n + 1 :]),
                        inputs=None if moves else self._rows.parameters,
                    )
            if reduce.last and row >= 0:
                world.start_sum(self._rows.matrix[row])
        if reduce.last and draw == self._updates[-1] and self._adds:
            world.start_sum(self._rows.matrix[-1])

    def matrices(self, group: str, index: list[int]) -> list[Tensor]:
        """The rows of some objectives of a group, for every draw."""
        count = len(self._names[group])
        starts = [self._first(draw, group) for draw in range(self._draws)]
        matrices = [self._rows.matrix[start : start + count] for start in starts]
        return matrices if len(index) == count else [matrix[index] for matrix in matrices]

    def add(self, vector: Tensor) -> None:
        """Add a combined gradient to the update."""
        self._rows.matrix[-1] += vector

    def give(self) -> None:
        """Make the update the `.grad` of the shared parameters."""
        if self._moved:
            self._rows.give(-1)

    def _first(self, draw: int, group: str) -> int:
        return draw * self._size + self._starts[group]
