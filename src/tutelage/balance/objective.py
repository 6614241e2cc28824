"""What balancers on the losses share."""

from collections.abc import Iterable

from torch import Tensor

from tutelage.types import Terms


def backward(losses: Iterable[Tensor], terms: Terms) -> None:
    """Add to `.grad` the gradient of sum losses + sum_t lambda_t d_t.

    The balanced losses come first; the distillation terms are added as they are, lambda_t being in them already.
    """
    parts = [*losses, *(term.mean() for term in terms.distill.values())]
    if any(part.requires_grad for part in parts):  # a part of a step may have no label at all
        sum(parts[1:], start=parts[0]).backward()  # type: ignore[no-untyped-call]  # of torch
