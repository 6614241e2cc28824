"""Whether an exported network gives the predictions of the predictor that it was made from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tutelage.deploy.predictor import Predictor
from tutelage.errors import UserError
from tutelage.images import Size

Run = Callable[[Tensor], Sequence[Tensor]]  # images -> the predictions of the tasks, in their order
_TOLERANCE = 1e-3  # of the largest value, or of 1 if that is larger; and the share of classes that may differ
_DRAWS = 3  # of random images, of which one has to agree


@dataclass(frozen=True)
class Parity:
    """How far the exported network is from the predictor, for one task.

    Attributes:
        largest: The largest absolute difference of a value.
        scale: The largest absolute value that the predictor gives.
        differing: How many values are not equal; of classes, which have no difference, this counts.
        values: How many values were compared.
        classes: Whether the values are class numbers.
    """

    largest: float
    scale: float
    differing: int
    values: int
    classes: bool

    @property
    def is_met(self) -> bool:
        """Whether the differences are rounding: at most 1e-3 of the scale; of classes, at most 1e-3 of the values."""
        if self.classes:
            return self.differing <= _TOLERANCE * self.values
        return self.largest <= _TOLERANCE * max(1.0, self.scale)  # False for nan

    def __str__(self) -> str:
        if self.classes:
            return f"{self.differing:,} of {self.values:,} values differ"
        return f"largest difference {self.largest:.1e} of {self.scale:.3g}"


@torch.no_grad()
def compare(predictor: Predictor, run: Run, cases: Sequence[tuple[int, Size]]) -> dict[str, Parity]:
    """A predictor and an exported network on random bytes with areas of one colour.

    A network that takes the place of a maximum (SegNet's unpooling) is not continuous: where two values differ by
    rounding alone, the two programs may take different places, and an area of the prediction differs. Such a tie is one
    of an image, a wrong translation one of all: where images differ, others are drawn.

    Args:
        predictor: The predictor, on the CPU.
        run: The exported network.
        cases: Numbers of images and their sizes.

    Returns:
        Task -> the comparison of all cases.

    Raises:
        UserError: They differ by more than rounding.
    """
    pairs: dict[str, list[tuple[Tensor, Tensor]]] = {t: [] for t in predictor.tasks}
    for count, size in cases:
        drawn: dict[str, tuple[Tensor, Tensor]] = {}
        for seed in range(_DRAWS):
            images = with_areas(random_images(count, size, seed))
            for (t, expected), found in zip(predictor(images).items(), run(images), strict=True):
                if found.shape != expected.shape:
                    raise UserError(
                        f"expected {list(expected.shape)} for `{t}`, the predictor's shape, found {list(found.shape)}"
                    )
                drawn[t] = found, expected
            if all(_parity(found.reshape(-1), expected.reshape(-1)).is_met for found, expected in drawn.values()):
                break
        for t, pair in drawn.items():
            pairs[t].append(pair)
    parity = {t: _parity(*map(_joined, zip(*of_task, strict=True))) for t, of_task in pairs.items()}
    for t, comparison in parity.items():
        if not comparison.is_met:
            raise UserError(f"expected the predictions of the predictor for `{t}`, found others ({comparison})")
    return parity


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([x.reshape(-1) for x in tensors])


def _parity(found: Tensor, expected: Tensor) -> Parity:
    difference = (found.double() - expected.double()).abs()
    scale, differing = float(expected.double().abs().max()), int((difference != 0).sum())
    return Parity(float(difference.max()), scale, differing, len(expected), not expected.is_floating_point())


def random_images(count: int, size: Size, seed: int = 0) -> Tensor:
    """float32 [B, 3, H, W] in 0..1, always the same of a seed."""
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def with_areas(images: Tensor) -> Tensor:
    """Images as bytes have them, with a white, a black and a grey corner: what skies, letterboxes and drawings are."""
    height, width = images.shape[2] // 2, images.shape[3] // 2
    images = (images * 255).round() / 255
    images[:, :, :height, :width], images[:, :, height:, :width], images[:, :, height:, width:] = 1, 0, 128 / 255
    return images
