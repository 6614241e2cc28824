"""Which teachers an image is taught by in a step, where some are dropped."""

from collections.abc import Mapping

import torch
from torch import Tensor


@torch.no_grad()
def teacher_factors(
    distances: Mapping[str, Tensor], seen: Mapping[str, Tensor | None], images: int, probability: float
) -> dict[str, Tensor]:
    """The factors of `keep_teachers` by teacher, for the images that it sees.

    Args:
        distances: Of every teacher, for the images that it sees.
        seen: The indices of these images, on their device; None: all.
        images: How many there are in the batch.
        probability: That a teacher is dropped.
    """
    rows = []
    for name, values in distances.items():
        row = values.new_full((images,), -torch.inf)
        row[slice(None) if (indices := seen[name]) is None else indices] = values
        rows.append(row)
    factors = keep_teachers(torch.stack(rows), probability)
    return {
        name: row if (indices := seen[name]) is None else row[indices]
        for name, row in zip(distances, factors, strict=True)
    }


@torch.no_grad()
def keep_teachers(distances: Tensor, probability: float) -> Tensor:
    """The factor of every teacher's distance for every image, [K, B]: teacher dropping of UNIC.

    A teacher whose distance is not the largest of an image is dropped with a probability, independently; the one that
    the student is furthest from always stays. With n teachers that see an image and m that stay, these have the factor
    n / m, so that an image weighs as much as without dropping.

    Source: Sariyildiz et al., "UNIC: Universal Classification Models via Multi-teacher Distillation", ECCV 2024
    (arXiv:2408.05088). Its code divides by the number of all pairs that stay in a batch; here each image counts by
    itself, so that parts of a step add up.

    Args:
        distances: [K, B], of every teacher; minus infinity for an image that it does not see.
        probability: That a teacher is dropped.
    """
    seen = distances.isfinite()
    furthest = torch.zeros_like(seen).scatter_(0, distances.argmax(0, keepdim=True), torch.ones_like(seen[:1]))
    kept = seen & (furthest | (torch.rand(distances.shape, device=distances.device) >= probability))
    return kept * (seen.sum(0) / kept.sum(0).clamp(min=1))
