"""The paper's distance."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tutelage.distill.distances.base import Distance, fp32
from tutelage.errors import positive_number

Guard = Literal["add", "clamp"]
_BLOCK = 2**18  # numbers of a part: 1 MiB in fp32, of which the passes use three at a time


class NormalisedL2(Distance):
    """Squared Euclidean distance of features scaled to unit length over the channels (paper, section 2).

    d(a, b) = mean over batch and positions p of || a_p / |a_p| - b_p / |b_p| ||^2

    where a_p, b_p are the C channels at position p and |.| is the Euclidean norm, guarded against 0. It does not
    change when either feature is scaled, lies in [0, 4] and equals 2 (1 - cos(a_p, b_p)), to rounding. Where one of
    the two is all zero (dead ReLUs) it is 1 and its gradient, of length 2 / epsilon (`clamp`) or 2 / sqrt(epsilon)
    (`add`), means nothing; behind a dead ReLU it goes nowhere.

    Value and gradient are those of this formula, in a quarter to a half of its time on a CPU: three sums over channels
    give the value, and the gradient is alpha_p a_p + beta_p b_p in closed form. Gradients of gradients raise.

    Source: the authors' code; `kd4mtl`: guard "add", epsilon 1e-6; `url`: guard "clamp", epsilon 1e-12.

    Args:
        epsilon: Size of the guard.
        guard: "add": |a| = sqrt(sum a^2 + epsilon). "clamp": |a| = max(sqrt(sum a^2), epsilon).

    Raises:
        ValueError: If `epsilon` is not positive.
    """

    def __init__(self, epsilon: float = 1e-6, guard: Guard = "add") -> None:
        super().__init__()
        self.epsilon = positive_number("NormalisedL2.epsilon", epsilon)
        self.guard: Guard = guard

    def per_image(self, a: Tensor, b: Tensor) -> Tensor:
        """d for each image, [B]."""
        d: Tensor = _NormalisedL2.apply(a, b, self.epsilon, self.guard == "add")
        return d

    def extra_repr(self) -> str:
        """The arguments, for `print`."""
        return f"epsilon={self.epsilon}, guard={self.guard!r}"


class _NormalisedL2(torch.autograd.Function):
    """With aa = sum a^2, bb = sum b^2, ab = sum a b over channels, and n the guarded norm:

    d          = aa / n_a^2 + bb / n_b^2 - 2 ab / (n_a n_b)
    d_a d      = alpha a + beta b
    alpha      = 2 / n_a^2 (1 - n' aa / n_a^2 + n' ab / (n_a n_b))
    beta       = -2 / (n_a n_b)

    where n' = d(n^2) / d(aa): 1, and 0 where the clamp holds. The direct formula makes about twenty passes over
    tensors as large as the feature; this makes three products and their sums forward and two passes backward, block by
    block, so that between the passes the block stays in the processor's cache. Values change by rounding.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, epsilon: float, add: bool) -> Tensor:
        dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
        aa, bb, ab = (torch.empty(len(a), *a.shape[2:], dtype=dtype, device=a.device) for _ in range(3))
        for block in _blocks(a):
            x, y, sums = a[block].to(dtype), b[block].to(dtype), (block[0], *block[2:])
            product = x * x  # one buffer for the three products
            aa[sums] = product.sum(1)
            bb[sums] = torch.mul(y, y, out=product).sum(1)
            ab[sums] = torch.mul(x, y, out=product).sum(1)
        ctx.save_for_backward(a, b, aa, bb, ab)
        ctx.epsilon, ctx.add = epsilon, add
        (n2a, _), (n2b, _) = _guarded(aa, epsilon, add), _guarded(bb, epsilon, add)
        d = aa / n2a + bb / n2b - 2 * ab * n2a.rsqrt() * n2b.rsqrt()
        return d.reshape(len(d), -1).mean(1)  # [B]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        a, b, aa, bb, ab = ctx.saved_tensors
        (n2a, slope_a), (n2b, slope_b) = (_guarded(s, ctx.epsilon, ctx.add) for s in (aa, bb))
        inverse = n2a.rsqrt() * n2b.rsqrt()  # 1 / (n_a n_b); the product under one root would underflow
        scale = 2 * (grad / aa[0].numel()).reshape(-1, *[1] * (aa.ndim - 1))  # [B, ...]
        beta = (-scale * inverse).unsqueeze(1)

        def gradient(x: Tensor, xx: Tensor, n2: Tensor, slope: Tensor, y: Tensor) -> Tensor:
            alpha = (scale / n2 * (1 - slope * xx / n2 + slope * ab * inverse)).unsqueeze(1)
            result = torch.empty_like(x)
            for block in _blocks(x):
                result[block] = (fp32(x[block]) * alpha[block]).addcmul_(fp32(y[block]), beta[block])
            return result

        return (
            gradient(a, aa, n2a, slope_a, b) if ctx.needs_input_grad[0] else None,
            gradient(b, bb, n2b, slope_b, a) if ctx.needs_input_grad[1] else None,
            None,
            None,
        )


def _blocks(x: Tensor) -> list[tuple[slice, ...]]:
    """Indices that cut a large feature on a CPU into parts along its first position axis; else one of all."""
    if x.ndim < 3 or x.device.type != "cpu" or x.numel() < 4 * _BLOCK:
        return [(slice(None),) * min(x.ndim, 3)]
    rows = max(1, _BLOCK * x.shape[2] // x.numel())
    return [(slice(None), slice(None), slice(i, i + rows)) for i in range(0, x.shape[2], rows)]


def _guarded(square: Tensor, epsilon: float, add: bool) -> tuple[Tensor, Tensor]:
    """n^2 and its slope n' in `square`."""
    if add:
        return square + epsilon, torch.ones_like(square)
    return square.clamp(min=epsilon**2), (square >= epsilon**2).to(square.dtype)
