"""A step over images of several sources, one image at a time: slow and obvious."""

from collections.abc import Callable, Mapping, Sequence

import torch
from tests.reference.distill_reference import kl
from torch import Tensor

from tutelage.types import Output, Sample

AtPositions = Callable[[Tensor, Tensor], list[Tensor]]  # raw [C, H, W] and label -> a value a valid position


def cross_entropy(raw: Tensor, label: Tensor) -> list[Tensor]:
    """-log softmax(raw)_c at every position with a class c."""
    found = []
    for y in range(raw.shape[1]):
        for x in range(raw.shape[2]):
            if label[y, x] >= 0:
                odds = raw[:, y, x].exp()
                found.append(-(odds[label[y, x]] / odds.sum()).log())
    return found


def absolute_error(raw: Tensor, label: Tensor) -> list[Tensor]:
    """|raw - label| at every position with a depth."""
    positions = [(y, x) for y in range(raw.shape[1]) for x in range(raw.shape[2])]
    return [(raw[0, y, x] - label[0, y, x]).abs() for y, x in positions if label[0, y, x] != 0]


def imitated_classes(raw: Tensor, taught: Tensor) -> Tensor:
    """The mean over positions of KL(softmax(taught) || softmax(raw))."""
    return torch.stack([kl(p, q, 1.0) for p, q in zip(raw.flatten(1).T, taught.flatten(1).T, strict=True)]).mean()


def imitated_depth(raw: Tensor, taught: Tensor) -> Tensor:
    """The mean over positions of |raw - taught|."""
    return torch.stack([(p - q).abs() for p, q in zip(raw.flatten(), taught.flatten(), strict=True)]).mean()


def objective(
    samples: Sequence[Sample],
    student: Callable[[Tensor], Output],
    losses: Mapping[str, AtPositions],
    distances: Mapping[str, Callable[[Tensor, Output], Tensor]],
    lambdas: Mapping[str, float],
    teach: str,
) -> Tensor:
    """sum_t (sum_i l_t(image i) / sum_i labelled positions) + sum_t lambda_t (sum_i d_t(image i) / taught images).

    Every image goes through the network alone. A teacher sees all images or, where `teach` is `own`, those with a label
    of its task that says something.
    """
    total = torch.zeros((), dtype=torch.float64)
    outputs = [student(sample["image"][None].double()) for sample in samples]
    for t, loss in losses.items():
        values: list[Tensor] = []
        taught: list[Tensor] = []
        for sample, output in zip(samples, outputs, strict=True):
            label = sample["labels"].get(t)
            found = [] if label is None else loss(output.predictions[t][0], label)
            values += found
            if t in distances and (teach == "all" or found):
                taught.append(distances[t](sample["image"][None].double(), output))
        if values:
            total = total + torch.stack(values).sum() / len(values)
        if taught:
            total = total + lambdas[t] * torch.stack(taught).sum() / len(taught)
    return total
