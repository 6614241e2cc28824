"""What the values of one image or label are, and of many together."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tutelage.types.look import Measures

_MOST = 10_000  # values from which the middle one is found
_NUMBERED = 1 << 16  # classes below it are counted in a table


@dataclass(frozen=True)
class Measure:
    """The values of one image or label.

    Attributes:
        positions: Pixels, or numbers of a label of the whole image.
        labelled: How many of them have a label.
        low: The least value of a label; None where there is no label.
        middle: The median value.
        high: The greatest value.
        classes: Class -> number of positions; empty where values are no classes.
    """

    positions: int
    labelled: int
    low: float | None = None
    middle: float | None = None
    high: float | None = None
    classes: Mapping[int, int] = field(default_factory=dict)


def measure_classes(label: Tensor) -> Measure:
    """Of class numbers of any shape; -1 is no label."""
    flat = label.flatten().long()
    known = flat[flat >= 0]
    if not len(known):
        return Measure(len(flat), 0)
    if int(known.max()) < _NUMBERED:
        counts = torch.bincount(known)
        present = counts.nonzero()[:, 0]
        counts = counts[present]
    else:
        present, counts = torch.unique(known, return_counts=True)
    classes = dict(zip(present.tolist(), counts.tolist(), strict=True))
    return _measure(len(flat), known, classes)


def measure_values(values: Tensor, labelled: Tensor) -> Measure:
    """Of the values [C, ...] at the labelled positions, bool [...] or of the same shape."""
    return _measure(labelled.numel(), values[labelled.expand_as(values)], {}, int(labelled.count_nonzero()))


def _measure(positions: int, known: Tensor, classes: Mapping[int, int], labelled: int | None = None) -> Measure:
    if not len(known):
        return Measure(positions, 0)
    low, high = (float(x) for x in known.aminmax())
    middle = float(known[:: max(1, len(known) // _MOST)].median())
    return Measure(positions, len(known) if labelled is None else labelled, low, middle, high, classes)


def together(measures: Iterable[Measure]) -> Measures:
    """The values of many images or labels."""
    ones = list(measures)
    positions, labelled = (sum(getattr(x, name) for x in ones) for name in ("positions", "labelled"))
    counts: Counter[int] = Counter()
    for one in ones:
        counts.update(one.classes)
    middles = sorted(x.middle for x in ones if x.middle is not None)
    return Measures(
        len(ones),
        sum(not x.labelled for x in ones),
        1 - labelled / positions if positions else 0.0,
        min((x.low for x in ones if x.low is not None), default=None),
        middles[(len(middles) - 1) // 2] if middles else None,
        max((x.high for x in ones if x.high is not None), default=None),
        {c: counts[c] / labelled for c in sorted(counts)},
    )
