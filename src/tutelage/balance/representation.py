"""Between the heads and what they share: the tensors where the cheap bound on gradients is taken."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tutelage.balance.rows import like
from tutelage.errors import UserError
from tutelage.types import Output


@dataclass
class Representation:
    """A step that has gone back through its heads."""

    boundary: list[Tensor]  # of R numbers in all
    rest: list[Tensor]  # what is added as it is
    matrices: dict[str, Tensor] = field(default_factory=dict)  # [m, R] by group

    def backward(self, vectors: list[Tensor]) -> None:
        """One backward pass from the boundary on, with the sum of some vectors [R], and through the rest."""
        roots, factors = list(self.rest), [torch.ones_like(x) for x in self.rest]
        if vectors:
            pieces = parts(sum(vectors[1:], vectors[0]), self.boundary)
            roots += self.boundary
            factors += [piece.to(z.dtype) for piece, z in zip(pieces, self.boundary, strict=True)]
        if roots:
            torch.autograd.backward(roots, factors)


def read_by_heads(outputs: Sequence[Output]) -> list[Tensor]:
    """The heads' inputs."""
    return [z for output in outputs for z in output.shared if z.requires_grad]


def distilled(outputs: Sequence[Output], boundary: list[Tensor], values: list[Tensor]) -> list[Tensor]:
    """The taps before the heads' inputs that some values are computed from."""
    taps = [tap for output in outputs for tap in output.taps.values() if isinstance(tap, Tensor) and tap.requires_grad]
    taps = [tap for tap in taps if all(tap is not z for z in boundary)]
    nodes = set[Any]().union(*(reached(value, {z.grad_fn for z in (*boundary, *taps)}) for value in values))
    return [tap for tap in taps if tap.grad_fn in nodes]


def parts(row: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """A row cut into parts with shape and memory layout of some tensors."""
    return [like(z, part) for z, part in zip(tensors, torch.split(row, [z.numel() for z in tensors]), strict=True)]


def disjoint(values: list[Tensor], boundary: list[Tensor]) -> bool:
    """Whether no node of the graph between some values and a boundary is reached from two of them."""
    ends = {z.grad_fn for z in boundary}
    known: set[Any] = set()
    for value in values:
        seen = reached(value, ends) - ends
        if seen & known:
            return False
        known |= seen
    return True


def reached(value: Tensor, ends: set[Any]) -> set[Any]:
    """The nodes of a value's graph, back to some ends and no further."""
    seen: set[Any] = set()
    todo = [value.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += () if node in ends else [before for before, _ in node.next_functions]
    return seen


def check_apart(tensors: Sequence[Tensor], net: str) -> None:
    """Refuse tensors of which one is computed from another: a gradient would pass through both and count twice."""
    ends = {z.grad_fn for z in tensors if z.grad_fn is not None}
    seen: set[Any] = set()
    todo = [before for end in ends for before, _ in end.next_functions]
    while todo:
        node = todo.pop()
        if node in ends:
            raise UserError(
                f"balancer.where: expected tensors in {net}'s Output.shared of which none is computed "
                "from another, found two that are; let the heads read `x.view_as(x)` and give that, or take "
                "`parameters`"
            )
        if node is not None and node not in seen:
            seen.add(node)
            todo += [before for before, _ in node.next_functions]
