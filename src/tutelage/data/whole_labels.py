"""Kinds of labels of the whole image; docs/data.md has the numeric contract."""

from abc import ABC
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tutelage.data.files import read_numbers
from tutelage.data.modalities import Modality, Window, whole_numbers
from tutelage.errors import UserError
from tutelage.images import Size, read_array
from tutelage.pictures import Array


class Whole(Modality, ABC):
    """A label of the whole image: a class, several classes, or numbers. No augmentation changes it."""

    dense = False

    def read(self, path: Path) -> tuple[Array, str]:
        """The numbers of a text file or of an array."""
        return read_array(path, self.use) if path.suffix.lower() == ".npy" else (np.asarray(read_numbers(path)), "")

    def resize(self, x: Tensor, image: Size, size: Size) -> Tensor:
        """The label unchanged."""
        return x

    def view(self, x: Tensor, window: Window) -> Tensor:
        """The label unchanged."""
        return x


@dataclass
class ClassLabel(Whole):
    """One class for the whole image: int64 [], -1 where there is no label.

    A file is a text with the number of the class, or a .npy.
    """

    content = "class"
    batched = True

    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """[], int64."""
        if array.size != 1:
            values = array.reshape(-1)[:5].tolist()
            raise UserError(f"{where}: expected the number of a class, found {values}; write one whole number")
        return torch.from_numpy(whole_numbers(array.reshape(1), where, "write one whole number"))[0]


@dataclass
class NumbersLabel(Whole):
    """Numbers for the whole image: float32 [D], nan where a number is not known.

    Also for several classes at once: 1 where the image has the class, 0 where it has not, nan where that is not known.
    A file is a text of numbers separated by white space or commas, or a .npy [D].
    """

    content = "numbers"
    batched = True

    def convert(self, array: Array, mode: str, where: str) -> Tensor:
        """[D], float32."""
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite
            return torch.from_numpy(array.reshape(-1).astype(np.float32))
