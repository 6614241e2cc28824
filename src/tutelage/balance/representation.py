"""Between the heads and what they share: the tensors where the cheap bound on gradients is taken."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from tutelage.balance.exact import Heads
from tutelage.balance.objective import Groups
from tutelage.balance.rows import like
from tutelage.errors import UserError
from tutelage.types import Output


class RepresentationGradients:
    """The gradients of what the heads read: one backward pass through the heads for every objective.

    Args:
        names: The objectives by group.
        device: Of the gradients.
    """

    def __init__(self, names: Mapping[str, list[str]], device: torch.device) -> None:
        self._names, self._device = names, device
        self._kept: dict[str, Tensor] = {}  # by group: new pages for these cost as much as filling them
        self._disjoint: dict[frozenset[tuple[str, str]], bool] = {}  # by the objectives of a step
        self._rest: list[Tensor] = []  # what is added as it is
        self.boundary: list[Tensor] = []  # of R numbers in all
        self.matrices: dict[str, Tensor] = {}  # [m, R] by group; empty: there is no step to finish

    def clear(self) -> None:
        """Forget the step, and with it its graph."""
        self._rest, self.boundary, self.matrices = [], [], {}

    def collect(
        self,
        groups: Groups,
        rest: list[Tensor],
        boundary: list[Tensor],
        heads: Heads,
        own: Mapping[tuple[str, str], list[nn.Parameter]],
    ) -> None:
        """A backward pass for every objective, to the boundary and to the parameters before it.

        Args:
            groups: The objectives.
            rest: What is added as it is.
            boundary: The tensors whose gradients are taken.
            heads: Where the gradients of heads are kept apart; elsewhere they are added to `.grad`.
            own: The parameters on the way to the boundary, by group and objective.
        """
        # One of several processes may have no label of an objective.
        values = {
            (g, name): value for g, named in groups.items() for name, value in named.items() if value.requires_grad
        }
        if frozenset(values) not in self._disjoint:
            self._disjoint[frozenset(values)] = disjoint(list(values.values()), boundary)
        # Where nothing needs it any more, each head's graph is freed on the way, and its memory used again.
        keep = bool(rest) or not self._disjoint[frozenset(values)]
        self._rest, self.boundary = rest, boundary
        for group, named in groups.items():
            matrix = self._matrix(group, len(named))
            for row, name in zip(matrix, (name for name in self._names[group] if name in named), strict=True):
                parameters = own[group, name]
                if (group, name) not in values:
                    row.zero_()
                    continue
                grads = torch.autograd.grad(named[name], [*boundary, *parameters], retain_graph=keep, allow_unused=True)
                for piece, grad in zip(cut_row(row, boundary), grads, strict=False):
                    piece.zero_() if grad is None else piece.copy_(grad)
                with heads[group, name].into(0) if (group, name) in heads else nullcontext():
                    _add(parameters, grads[len(boundary) :])
            if named:
                self.matrices[group] = matrix

    def backward(self, vectors: list[Tensor]) -> None:
        """One backward pass from the boundary on, with the sum of some vectors [R], and through the rest."""
        roots, factors = list(self._rest), [torch.ones_like(x) for x in self._rest]
        if vectors and self.boundary:
            pieces = cut_row(sum(vectors[1:], vectors[0]), self.boundary)
            roots += self.boundary
            factors += [piece.to(z.dtype) for piece, z in zip(pieces, self.boundary, strict=True)]
        if roots:
            torch.autograd.backward(roots, factors)

    def _matrix(self, group: str, rows: int) -> Tensor:
        shape = (len(self._names[group]), sum(z.numel() for z in self.boundary))
        if group not in self._kept or self._kept[group].shape != shape:
            self._kept[group] = torch.empty(shape, device=self._device)
        return self._kept[group][:rows]


def _add(parameters: Sequence[Tensor], grads: Sequence[Tensor | None]) -> None:
    """Add gradients to `.grad`, in place, as a backward pass does."""
    for p, grad in zip(parameters, grads, strict=True):
        if grad is not None:
            p.grad = grad.clone() if p.grad is None else p.grad.add_(grad)


def read_by_heads(outputs: Sequence[Output]) -> list[Tensor]:
    """The heads' inputs."""
    return [z for output in outputs for z in output.shared if z.requires_grad]


def distilled(outputs: Sequence[Output], boundary: list[Tensor], values: list[Tensor]) -> list[Tensor]:
    """The taps before the heads' inputs that some values are computed from."""
    taps = [tap for output in outputs for tap in output.taps.values() if isinstance(tap, Tensor) and tap.requires_grad]
    taps = [tap for tap in taps if all(tap is not z for z in boundary)]
    nodes = set[Any]().union(*(reached(value, {z.grad_fn for z in (*boundary, *taps)}) for value in values))
    return [tap for tap in taps if tap.grad_fn in nodes]


def cut_row(row: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """The pieces of a row that belong to some tensors, each with its tensor's shape and memory layout."""
    return [like(z, piece) for z, piece in zip(tensors, torch.split(row, [z.numel() for z in tensors]), strict=True)]


def disjoint(values: list[Tensor], boundary: list[Tensor]) -> bool:
    """Whether no node of the graph between some values and a boundary is reached from two of them."""
    ends = {z.grad_fn for z in boundary}
    visited: set[Any] = set()
    for value in values:
        nodes = reached(value, ends) - ends
        if nodes & visited:
            return False
        visited |= nodes
    return True


def reached(value: Tensor, ends: set[Any]) -> set[Any]:
    """The nodes of a value's graph, back to some ends and no further."""
    visited: set[Any] = set()
    todo = [value.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in visited:
            visited.add(node)
            todo += () if node in ends else [before for before, _ in node.next_functions]
    return visited


def check_apart(tensors: Sequence[Tensor], net: str) -> None:
    """Raise a UserError if a tensor is computed from another of them: a gradient would pass both and count twice."""
    ends = {z.grad_fn for z in tensors if z.grad_fn is not None}
    visited: set[Any] = set()
    todo = [before for end in ends for before, _ in end.next_functions]
    while todo:
        node = todo.pop()
        if node in ends:
            raise UserError(
                f"balancer.where: expected tensors in {net}'s Output.shared of which none is computed "
                "from another, found two that are; let the heads read `x.view_as(x)` and give that, or take "
                "`parameters`"
            )
        if node is not None and node not in visited:
            visited.add(node)
            todo += [before for before, _ in node.next_functions]
