"""Classes for every pixel that are drawn as colours, or as other numbers than their own."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from tutelage.data.labels import ClassesLabel
from tutelage.data.modalities import whole_numbers
from tutelage.errors import UserError
from tutelage.images import describe, flat
from tutelage.pictures import Array, Use

_LARGEST = 2**16 - 1
Code = tuple[int, ...]  # one grey value, or red, green and blue


@dataclass
class CodedLabel(ClassesLabel):
    """A class for every pixel, of pictures in which a colour or a grey value stands for each: int64 [H, W], -1 is none.

    >>> CodedLabel(codes=((0, 0, 0), (255, 0, 0))).convert(np.array([[[255, 0, 0], [0, 0, 0]]]), "RGB", "1.png")
    tensor([[[1, 0]]])

    Args:
        ignore: None here: see `void`.
        codes: What stands for class 0, 1, ...: `[r, g, b]`, or `[value]` in pictures of one channel.
        void: What means "no label", likewise.

    Raises:
        UserError: Codes are missing, of several lengths, given twice or out of range; in `convert`, a pixel has none
            of them.
    """

    use: ClassVar[Use] = "codes"  # of a palette, the colours
    ignore: tuple[int, ...] = ()
    codes: tuple[Code, ...] = ()
    void: tuple[Code, ...] = ()

    def __post_init__(self) -> None:
        if self.ignore:
            raise UserError(f"CodedLabel.ignore: expected none, found {list(self.ignore)}; name these values in `void`")
        every = [tuple(code) for code in (*self.codes, *self.void)]
        if wrong := [value for code in every for value in code if not 0 <= value <= _LARGEST]:
            raise UserError(f"CodedLabel.codes: expected values from 0 to {_LARGEST}, found {wrong[0]}; correct it")
        if not self.codes or {len(code) for code in every} not in ({1}, {3}) or len(set(every)) < len(every):
            raise UserError(
                "CodedLabel.codes: expected one [r, g, b] for each class, or one [value], all different, found "
                f"{[list(code) for code in every]}"
            )

    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """[1, H, W], int64."""
        array = flat(array)
        array = array[..., None] if array.ndim == 2 else array
        channels = len(self.codes[0])
        if array.ndim != 3 or array.shape[2] != channels:
            raise UserError(
                f"{where}: expected {'colours [H, W, 3]' if channels == 3 else 'values [H, W]'}, as in `codes`, found "
                f"{describe(array, mode)}; save all labels in one form"
            )
        values = whole_numbers(array, where, "write the colours without averaging pixels, in 0..255")
        numbers = np.where((values < 0) | (values > _LARGEST), -1, values)
        numbers = np.where((numbers < 0).any(-1), -1, _packed(numbers))
        codes = _packed(np.array([*self.codes, *self.void], np.int64))
        order = np.argsort(codes)
        place = order[np.searchsorted(codes[order], numbers).clip(max=len(codes) - 1)]
        unknown = codes[place] != numbers
        if unknown.any():
            code = array[unknown][0].tolist()
            raise UserError(
                f"{where}: expected the {len(codes)} values in `codes` and `void`, found {code} in "
                f"{np.count_nonzero(unknown)} pixels; add it to one of them, or draw labels without smoothing"
            )
        return torch.from_numpy(np.where(place < len(self.codes), place, -1))[None]


def _packed(values: Array) -> Array:
    """[..., C] as one number each."""
    packed: Array = (values << np.arange(values.shape[-1]) * 16).sum(-1)
    return packed
