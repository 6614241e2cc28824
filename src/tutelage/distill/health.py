"""What an adaptor does, in two numbers per weight matrix, and how alike two features are without one."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from tutelage.distill.adaptors.base import resized


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


@torch.no_grad()
def similarity(feature: Tensor, taught: Tensor) -> Tensor:
    """The linear centred kernel alignment of two features of the same images, [], in [0, 1]; NaN of one position.

    CKA = <K, L> / (|K| |L|),   K = H X X^T H,   L = H Y Y^T H

    where the rows of X and Y are the positions of all images, H = I - 1/n centres them, and products and norms are
    Frobenius's (Kornblith et al., ICML 2019, arXiv:1905.00414). It is 1 where Y is X rotated and scaled, and needs no
    adaptor, so that it tells features alike from features that an adaptor has made alike. Fewer positions than channels
    raise it: compare it for the same tap, batch size and number of processes, each of which has its own images.

    Args:
        feature: [B, C, ...]; a map of another size than the teacher's is resized.
        taught: [B, C', ...]. Where a map faces something else, each image is one position, its mean.
    """
    if feature.shape[2:] != taught.shape[2:]:
        if feature.ndim == taught.ndim == 4:
            feature = resized(feature, taught.shape[2:])
        else:
            feature, taught = (x.flatten(2).mean(2) if x.ndim > 2 else x for x in (feature, taught))
    x, y = (_centred_rows(tensor) for tensor in (feature, taught))
    if len(x) < 2:
        return x.new_full((), torch.nan)
    with torch.autocast(x.device.type, enabled=False):
        if len(x) < max(x.shape[1], y.shape[1]):
            return cosine_similarity((x @ x.T).flatten(), (y @ y.T).flatten(), dim=0)
        # <X X^T, Y Y^T> = |X^T Y|^2, of matrices of channels
        squares = (x.T @ x).norm() * (y.T @ y).norm()
        alike: Tensor = (x.T @ y).square().sum() / squares.clamp(min=1e-12)
        return alike


def _centred_rows(feature: Tensor) -> Tensor:
    """[positions of all images, C], each channel with mean 0, of one size in all."""
    rows = feature.detach().float().movedim(1, -1).flatten(0, -2)
    rows = rows - rows.mean(0)
    scaled: Tensor = rows / rows.norm().clamp(min=1e-12)
    return scaled
