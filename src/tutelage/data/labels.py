"""Classes, masks and depth for every pixel; docs/data.md has the numeric contract."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from tutelage.data.look.measure import Measure, measure_values
from tutelage.data.look.stored import Stored
from tutelage.data.modalities import Modality, resize_nearest, whole_numbers
from tutelage.errors import UserError
from tutelage.images import Size, describe, flat
from tutelage.pictures import Array, Use

_EIGHT_BITS = ("1", "L", "LA")  # Pillow's modes
_VOID, _ABOVE_1 = 255, 2  # values of masks: what often means no label, and a threshold that takes 1 for 0
_FINE = 0.001  # a unit that is fine enough for 16 bits, and too fine for 8


@dataclass
class ClassesLabel(Modality):
    """A class for every pixel: int64 [H, W], -1 where there is no label; resized to the nearest pixel.

    A picture of 1 bit holds the classes 0 and 1.

    Args:
        ignore: The values that mean "no label".
    """

    content = "classes"
    use: ClassVar[Use] = "classes"
    batched = copies = True
    ignore: tuple[int, ...] = (255,)

    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """[1, H, W], int64."""
        array = flat(array)
        if array.ndim != 2:
            raise UserError(
                f"{where}: expected class numbers [H, W], found {describe(array, mode)}; save one number per pixel"
            )
        label = torch.from_numpy(whole_numbers(array, where, "write the labels without averaging pixels"))[None]
        for value in self.ignore:
            label[label == value] = -1
        return label

    def reading(self, stored: Stored) -> str:
        """The values that are no label."""
        return f"value; {', '.join(map(str, self.ignore))} is no label" if self.ignore else "value"

    def resize(self, x: Tensor, image: Size, size: Size) -> Tensor:
        """Nearest pixel."""
        return resize_nearest(x, size)

    def finish(self, x: Tensor) -> Tensor:
        """[H, W]."""
        return x[0]


@dataclass
class MaskLabel(ClassesLabel):
    """Yes or no for every pixel, as for saliency, edges and outlines: int64 [H, W] of 0 and 1; nearest pixel.

    In a picture, a value (or a palette's index) of at least `threshold` means 1, anything below means 0. A picture of
    1 bit and a .npy hold 0 and 1, or truth values, and a .npy -1 where there is no label.

    Args:
        threshold: The least value of a picture that means 1; set it to 1 where masks are drawn with 0 and 1.
        ignore: The values of a picture that mean "no label".

    Raises:
        UserError: `threshold` is below 1; in `convert`, 0 and 1 are drawn under a higher one, or 255 beside 1.
    """

    content = "mask"
    use: ClassVar[Use] = "mask"
    ignore: tuple[int, ...] = ()
    threshold: int = 128

    def __post_init__(self) -> None:
        if self.threshold < 1:
            raise UserError(
                f"MaskLabel.threshold: expected at least 1, the least value that means 1, found {self.threshold}; "
                "correct it"
            )

    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """[1, H, W], int64."""
        label = super().convert(array, mode, where)
        if mode in ("", "1"):
            return label
        self._check_drawn(label, where)
        return torch.where(label < 0, label, (label >= self.threshold).long())

    def _check_drawn(self, label: Tensor, where: str) -> None:
        """Raise where 1 may mean 1, and is not taken for it, or 255 may mean "no label", and is not."""
        if not bool((label == 1).any()):
            return
        others = label[label > 1]
        if self.threshold > 1 and not len(others):
            raise UserError(
                f"{where}: expected a mask of values below and from {self.threshold} on, found 0 and 1; set the "
                "label's `threshold` to 1"
            )
        if self.threshold != _ABOVE_1 and len(others) and int(others.min()) == int(others.max()) == _VOID:
            raise UserError(
                f"{where}: expected a mask of two values, found 1 beside {_VOID}; set the label's `threshold` to 1 and "
                f"`ignore` to [{_VOID}] where {_VOID} is no label, or `threshold` to {_ABOVE_1} where 1 means 0"
            )

    def reading(self, stored: Stored) -> str:
        """From which value on a picture means 1."""
        if not stored.picture:
            return "0 and 1"
        return f"1 from {self.threshold} on" + (
            f"; {', '.join(map(str, self.ignore))} is no label" if self.ignore else ""
        )


@dataclass
class DepthLabel(Modality):
    """The distance of every pixel: float32 metres [1, H, W], 0 where there is no label; nearest pixel.

    Args:
        scale: Metres per unit of a picture's values: 1/25.5 where 255 is 10 m, 0.001 for millimetres in 16 bits. A
            .npy holds metres.
        ignore: The values of a picture that mean "no label", besides 0: 65535 is where 16 bits end.
        limit: The greatest distance that is a label; what is farther has none. None: any is one.

    Raises:
        UserError: `scale` or `limit` is not positive; in `convert`, values are not one number per pixel, or have 8 bits
            under a `scale` for 16.
    """

    content = "depth"
    unit = "m"
    batched = copies = True
    scale: float = 0.001
    ignore: tuple[int, ...] = (65535,)
    limit: float | None = None

    def __post_init__(self) -> None:
        for key, value in (("scale", self.scale), ("limit", self.limit)):
            if value is not None and not 0 < value < float("inf"):
                raise UserError(
                    f"{type(self).__name__}.{key}: expected a positive number, found {value}; correct it"
                    + (", or leave it out" if key == "limit" else "")
                )

    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """[1, H, W], metres."""
        array = flat(array)
        if array.ndim != 2:
            raise UserError(
                f"{where}: expected distances [H, W], found {describe(array, mode)}; save one number per pixel"
            )
        if mode in _EIGHT_BITS and self.scale <= _FINE:
            raise UserError(
                f"{where}: expected 16 bits for a `scale` of {self.scale:g}, found 8, of which the greatest would be "
                f"{255 * self.scale:.3g}{self.unit and f' {self.unit}'}; set the label's `scale` to what one unit "
                "is, for example 1/25.5 where 255 is 10, or save 16 bits"
            )
        depth = torch.from_numpy(array.astype(np.float64) * (self.scale if mode else 1.0)).float()[None]
        known = depth.isfinite() & (depth > 0)
        if mode:
            known &= ~torch.from_numpy(np.isin(array, self.ignore))
        if self.limit is not None:
            known &= depth <= self.limit
        return torch.where(known, depth, 0.0)

    def measure(self, x: Tensor) -> Measure:
        """Positive values are labels."""
        return measure_values(x, x > 0)

    def reading(self, stored: Stored) -> str:
        """The unit of stored values."""
        values = f"value x {self.scale:.4g}" if stored.picture else "values"
        none = [str(value) for value in self.ignore if stored.picture and stored.bits != 8]
        none += [f"above {self.limit:g}"] if self.limit else []
        return f"{values}{self.unit and f' = {self.unit}'}" + (f"; {', '.join(none)} is no label" if none else "")

    def resize(self, x: Tensor, image: Size, size: Size) -> Tensor:
        """Nearest pixel: the mean across an edge is a distance at which there is no surface."""
        return resize_nearest(x, size)

    def zoom(self, x: Tensor, scale: float) -> Tensor:
        """Metres / scale: a surface that looks larger is nearer."""
        return x / scale


@dataclass
class InverseDepthLabel(DepthLabel):
    """One over the distance of every pixel: float32 [1, H, W], 0 where there is no label; nearest pixel.

    It grows where a surface comes nearer, and is near 0 for what is far away.

    Args:
        scale: The factor of a picture's values; by default that of MTAN's files, where 65535 is 1. A .npy holds the
            values themselves.
        ignore: The values of a picture that mean "no label", besides 0.
        limit: The greatest value that is a label; a greater one has none. None: any is one.
    """

    content = "inverse depth"
    unit = ""
    batched = copies = True
    scale: float = 1 / 65535
    ignore: tuple[int, ...] = ()

    def zoom(self, x: Tensor, scale: float) -> Tensor:
        """The values times `scale`: a surface that looks larger is nearer."""
        return x * scale
