"""What an adaptor does, in two numbers per weight matrix."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn


def matrices(adaptor: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The weight matrices of an adaptor, with what their names in the log end in: "", or "/0", "/1", ... of several."""
    weights = [p.detach().float().flatten(1) for p in adaptor.parameters() if p.ndim > 1]
    for i, weight in enumerate(weights):
        yield f"/{i}" if len(weights) > 1 else "", weight


def norm_and_rank(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The Frobenius norm and the effective rank of a matrix; NaN if it is not finite.

    rank = exp(- sum_i p_i log p_i)

    for singular values p normalised to sum 1 (Roy and Vetterli, EUSIPCO 2007): how many directions the matrix uses.
    """
    finite = bool(weight.isfinite().all())  # the decomposition of anything else raises
    values = torch.linalg.svdvals(weight) if finite else weight.new_full((1,), torch.nan)
    return values.norm(), torch.special.entr(values / values.sum().clamp(min=1e-12)).sum().exp()
