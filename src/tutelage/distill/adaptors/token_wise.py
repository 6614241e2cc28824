"""From and to the tokens of a transformer."""

from collections.abc import Sequence
from math import isqrt, prod

import torch
from torch import Tensor, nn

from tutelage.distill.adaptors.base import Adaptor, resized
from tutelage.errors import UserError

Grid = tuple[int, int]


class TokenWise(Adaptor):
    """A linear map of each token, and bilinear resizing (`align_corners=False`) of the grid that they form.

    A(x)_n = W x_n + b

    where x_n are the channels of token n. Either feature may be tokens [B, C, N] or a map [B, C, H, W]: a convolutional
    student can learn from a transformer and the other way round. Tokens form a grid, row by row, after `prefix_tokens`
    that are not part of it, such as a class token or registers. These are matched to the teacher's one by one, or
    dropped if it has none. Equal numbers of tokens are matched one by one if no grid is given.

    Source: the projection of tokens in Wei et al., arXiv:2205.14141. W starts as Xavier normal, b as 0.

    Args:
        in_channels: Channels of the student's feature.
        out_channels: Channels of the teacher's feature.
        prefix_tokens: The student's tokens before its grid.
        teacher_prefix_tokens: The teacher's; either none or as many as the student's.
        grid: Rows and columns of the student's tokens; None: those of the teacher if the number of tokens fits, else a
            square, which the teacher's then has to be too.
        teacher_grid: Rows and columns of the teacher's tokens; None: likewise.

    Raises:
        ValueError: If prefixes do not match, or the number of tokens is not that of their grid.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        prefix_tokens: int = 0,
        teacher_prefix_tokens: int = 0,
        grid: Grid | None = None,
        teacher_grid: Grid | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels)
        if prefix_tokens < 0 or teacher_prefix_tokens not in (0, prefix_tokens):
            raise UserError(
                f"TokenWise.teacher_prefix_tokens: expected 0 or the student's `prefix_tokens`, found "
                f"{teacher_prefix_tokens} and {prefix_tokens}; give the teacher a tap without them"
            )
        self.prefix_tokens, self.teacher_prefix_tokens = prefix_tokens, teacher_prefix_tokens
        self.grid, self.teacher_grid = grid, teacher_grid
        self.linear = nn.Linear(in_channels, out_channels)
        nn.init.xavier_normal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, feature: Tensor, size: Sequence[int]) -> Tensor:
        """The adapted feature [B, out_channels, *size] of a feature [B, in_channels, N] or [B, in_channels, H, W]."""
        prefix, teacher_prefix = self.prefix_tokens, self.teacher_prefix_tokens
        for name, count, positions in (
            ("prefix_tokens", prefix, feature.shape[2:]),
            ("teacher_prefix_tokens", teacher_prefix, size),
        ):
            if count and (len(positions) != 1 or positions[0] <= count):
                raise UserError(
                    f"TokenWise.{name}: expected tokens [B, C, N] with N above {count}, found positions "
                    f"{tuple(positions)}; set it to 0 for a map"
                )
        adapted: Tensor = self.linear(feature.movedim(1, -1)).movedim(-1, 1)
        patches = adapted[:, :, prefix:] if prefix else adapted
        if not teacher_prefix:
            return self._regridded(patches, size)
        return torch.cat([adapted[:, :, :prefix], self._regridded(patches, (size[0] - prefix,))], dim=2)

    def _regridded(self, patches: Tensor, size: Sequence[int]) -> Tensor:
        """Tokens without prefix, or a map, as [B, C', *size]."""
        positions = tuple(patches.shape[2:])
        if not positions or not size:  # a whole image has no grid
            return resized(patches, size)
        source, target = _shape(positions, self.grid), _shape(size, self.teacher_grid)
        if source is None and target is None and positions == tuple(size):
            return patches
        source = _grid("grid", prod(positions), source, target)
        target = _grid("teacher_grid", prod(size), target, source)
        moved = resized(patches.reshape(*patches.shape[:2], *source), target)
        return moved.reshape(*patches.shape[:2], *size)


def _shape(positions: Sequence[int], grid: Grid | None) -> Grid | None:
    """The grid of a map, or that of tokens if it is configured."""
    return (positions[0], positions[1]) if len(positions) == 2 else grid


def _grid(name: str, count: int, grid: Grid | None, other: Grid | None) -> Grid:
    """Rows and columns of `count` tokens: the configured ones, those of the other side, or a square if both can be."""
    if grid is not None:
        if prod(grid) != count:
            raise UserError(
                f"TokenWise.{name}: expected rows and columns of {count} tokens, found {list(grid)}; tokens before the "
                "grid are `prefix_tokens`"
            )
        return grid
    if other is not None and prod(other) == count:
        return other
    side = isqrt(count)
    if side * side != count or (other is not None and other[0] != other[1]):
        raise UserError(
            f"TokenWise.{name}: expected [rows, columns] of {count} tokens, since not both sides are square, found "
            "none; give it, and tokens before the grid as `prefix_tokens`"
        )
    return side, side
