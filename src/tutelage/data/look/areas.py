"""What the values of pictures say by their number and by the areas that they fill."""

from collections.abc import Sequence

import numpy as np

from tutelage.pictures import Array

CLASSES = 256  # more different numbers are no classes
_LOW, _HIGH = 40, 215  # a value of a mask that JPEG or smoothing has changed a little
_PLATEAUS = 64  # different numbers in one picture: depth has more


def is_mask(values: Array, lossy: bool) -> bool:
    """Whether values are 0 and another one far from it, or both blurred by JPEG."""
    if len(values) == 2 and values[0] == 0:
        return True
    return lossy and bool(((values < _LOW) | (values > _HIGH)).mean() > 0.9)


def is_smoothed_mask(arrays: Sequence[Array]) -> bool:
    """Whether most values are near 0 or 255, both of which occur, and the others change from pixel to pixel.

    Those of classes fill areas: a pixel mostly has the value of the one on its right and of the one below.
    """
    values = np.concatenate([x.reshape(-1) for x in arrays])
    ends = (values < _LOW) | (values > _HIGH)
    odd = np.unique(values[(values != 0) & (values != values.max())])
    if values.max() <= _HIGH or values.min() < 0 or (values == 0).mean() < 0.01 or len(odd) < 3 or ends.mean() < 0.8:
        return False
    inner = np.concatenate([_in_areas(x) for x in arrays])
    return len(inner) > 0 and bool(inner.mean() < 0.5)


def _in_areas(array: Array) -> Array:
    """Of each pixel that is neither 0 nor the greatest value: whether its neighbours have its value."""
    here, right, below = array[:-1, :-1], array[:-1, 1:], array[1:, :-1]
    inner: Array = ((here == right) & (here == below))[(here != 0) & (here != array.max())]
    return inner


def are_classes(values: Array, arrays: Sequence[Array]) -> bool:
    """Whether whole numbers are few, or whether neighbours are mostly equal, as they are in areas of one class."""
    numbers = values[(values >= 0) & (values != 255)]
    if not len(numbers) or numbers.max() >= 4 * CLASSES:
        return False
    return len(numbers) <= 32 or _equal(arrays) > 0.8


def are_instances(arrays: Sequence[Array]) -> bool:
    """Whether every picture has a few numbers in areas, as numbers of instances: depth is no such staircase."""
    return max(len(np.unique(x)) for x in arrays) <= _PLATEAUS and _equal(arrays) > 0.9


def _equal(arrays: Sequence[Array]) -> float:
    """The share of pixels whose right neighbour has the same value."""
    return float(np.mean([(x[:, 1:] == x[:, :-1]).mean() for x in arrays if x.shape[1] > 1] or [0.0]))
